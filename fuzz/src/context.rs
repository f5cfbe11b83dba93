//! The fields of contexts of the `nats` command: the files of `nats-client` that look at them, compiled here because
//! nothing else is to be built for that.

#![allow(unreachable_pub, dead_code, reason = "they are written for another crate")]

#[path = "../../nats-client/src/context/error.rs"]
mod error;
#[path = "../../nats-client/src/context/fields.rs"]
mod fields;

use std::path::Path;

use error::ContextError;
use fields::Fields;

const TEXTS: [&str; 6] =
    ["description", "user", "inbox_prefix", "jetstream_domain", "color_scheme", "socks_proxy"];
const SECRETS: [&str; 4] = ["token", "password", "user_jwt", "user_seed"];
const PATHS: [&str; 5] = ["creds", "nkey", "cert", "key", "ca"];

/// The content of a context's file. Each field is read or refused; a secret that is read stands for itself, and
/// errors name the file.
pub fn context_fields(data: &[u8]) {
    let path = Path::new("/contexts/x.json");
    let expand = |path: &str| path.replace('~', "/home/ann");
    let refused = |error: ContextError| {
        assert!(error.to_string().contains("/contexts/x.json"), "{error}");
    };
    let fields = match Fields::parse(path, data, &expand) {
        Ok(fields) => fields,
        Err(error) => return refused(error),
    };
    for name in TEXTS {
        fields.text(name).map_or_else(refused, |text| assert_ne!(text.as_deref(), Some("")));
    }
    for name in SECRETS {
        match fields.secret(name) {
            Ok(text) => assert!(!text.is_some_and(|text| text.starts_with("op://"))),
            Err(error) => refused(error),
        }
    }
    for name in PATHS {
        fields.path(name).map_or_else(refused, drop);
    }
    fields.flag("tls_first").map_or_else(refused, drop);
    fields.texts("windows_ca_certs_match").map_or_else(refused, drop);
    fields.nsc().map_or_else(refused, drop);
    match fields.servers() {
        Ok(servers) => assert!(servers.iter().all(|server| !server.host().is_empty())),
        Err(error) => refused(error),
    }
}
