//! Contexts in directories of their own.

use std::fs;
use std::path::{Path, PathBuf};

use nats_proto::connection::{AuthSource, TlsMode};

use super::files::{Files, expand_with};
use super::{Context, ContextAuth, ContextError};
use crate::options::Parts;
use crate::testing::{Fake, block_on};

/// Never to be seen in any text.
const SECRET: &str = "canary-4711";

/// A directory of settings that lasts as long as the test.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn files(&self) -> Files {
        Files::new(Some(self.0.path().to_owned()), None).unwrap()
    }

    fn write(&self, file: &str, content: &str) -> PathBuf {
        let path = self.0.path().join("nats").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

fn parse(content: &str) -> Result<Context, ContextError> {
    let home = || Some("/home/ann".to_owned());
    let variable = |name: &str| (name == "KEYS").then(|| "/keys".to_owned());
    Context::parse(Path::new("/c/x.json"), content.as_bytes(), &|path| {
        expand_with(path, home, variable)
    })
}

fn text(content: &str) -> String {
    let error = parse(content).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("context /c/x.json"), "{text}");
    for shown in [&text, &format!("{error:?}"), &format!("{error:#?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
    text
}

#[test]
fn a_context_has_what_the_nats_command_writes() {
    let context = parse(
        r#"{
            "description": "the one", "url": "nats://a:1, tls://b ,wss://c/path",
            "socks_proxy": "socks5://p:1080", "token": "t", "user": "u", "password": "p",
            "creds": "~/u.creds", "nkey": "$KEYS/u.nk", "cert": "${KEYS}/c.pem", "key": "rel/k.pem",
            "ca": "file:///ca.pem", "nsc": "nsc://o/a/u", "jetstream_domain": "hub",
            "jetstream_api_prefix": "JS.API", "jetstream_event_prefix": "JS.EVENT",
            "inbox_prefix": "_INBOX_x", "user_jwt": "j", "user_seed": "s", "color_scheme": "blue",
            "tls_first": true, "windows_cert_store": "user", "windows_cert_match_by": "subject",
            "windows_cert_match": "ann", "windows_ca_certs_match": ["one", "two"], "unknown": {}
        }"#,
    )
    .unwrap();
    let some = |text: &str| Some(text.to_owned());
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!((context.name.as_str(), context.path.as_path()), ("x", Path::new("/c/x.json")));
    assert_eq!(context.description, some("the one"));
    let servers: Vec<_> = context.servers.iter().map(|addr| (addr.host(), addr.port())).collect();
    assert_eq!(servers, [("a", 1), ("b", 4222), ("c", 443)]);
    assert_eq!(context.socks_proxy, some("socks5://p:1080"));
    assert_eq!((context.token, context.user, context.password), (some("t"), some("u"), some("p")));
    assert_eq!((context.user_jwt, context.user_seed), (some("j"), some("s")));
    assert_eq!((context.creds, context.nkey), (path("/home/ann/u.creds"), path("/keys/u.nk")));
    assert_eq!((context.cert, context.key), (path("/keys/c.pem"), path("rel/k.pem")));
    assert_eq!((context.ca, context.nsc), (path("/ca.pem"), some("nsc://o/a/u")));
    assert_eq!(context.jetstream_domain, some("hub"));
    assert_eq!(context.jetstream_api_prefix, some("JS.API"));
    assert_eq!(context.jetstream_event_prefix, some("JS.EVENT"));
    assert_eq!(context.inbox_prefix, some("_INBOX_x"));
    assert_eq!(context.color_scheme, some("blue"));
    assert!(context.tls_first);
    assert_eq!(context.windows_cert_store, some("user"));
    assert_eq!(context.windows_cert_match_by, some("subject"));
    assert_eq!(context.windows_cert_match, some("ann"));
    assert_eq!(context.windows_ca_certs_match, ["one", "two"]);
}

#[test]
fn what_is_empty_or_null_or_missing_is_not_set() {
    let empty = r#"{"url": "", "user": "", "creds": "", "tls_first": false}"#;
    let null = r#"{"url": null, "user": null, "creds": null, "tls_first": null,
                   "windows_ca_certs_match": null}"#;
    for content in ["{}", "\u{feff}{}", empty, null] {
        let context = parse(content).unwrap();
        assert_eq!(context.servers, ["nats://localhost:4222".parse().unwrap()]);
        assert!(context.user.is_none() && context.creds.is_none() && !context.tls_first);
        assert_eq!(context.auth(), ContextAuth::None);
    }
}

#[test]
fn the_first_way_to_introduce_oneself_counts() {
    let mut context = parse(
        r#"{"user": "u", "creds": "c", "nkey": "n", "user_jwt": "j", "user_seed": "s", "token": "t"}"#,
    )
    .unwrap();
    assert_eq!(context.auth(), ContextAuth::UserPassword { user: "u", password: "" });
    context.user = None;
    assert_eq!(context.auth(), ContextAuth::Credentials(Path::new("c")));
    context.creds = None;
    assert_eq!(context.auth(), ContextAuth::NKey(Path::new("n")));
    context.nkey = None;
    assert_eq!(context.auth(), ContextAuth::Jwt { jwt: "j", seed: Some("s") });
    context.user_jwt = None;
    assert_eq!(context.auth(), ContextAuth::Token("t"));
}

#[test]
fn only_a_tilde_at_the_start_and_variables_are_expanded() {
    let expand = |path| expand_with(path, || Some("/h".into()), |_| None);
    for (path, expanded) in [
        ("~/a", "/h/a"),
        ("~", "/h"),
        ("/~/a", "/~/a"),
        ("a", "a"),
        ("$UNSET/a", "/a"),
        ("C:\\a", "C:\\a"),
    ] {
        assert_eq!(expand(path), expanded);
    }
}

#[test]
fn a_variable_may_begin_with_a_tilde() {
    let variable = |_: &str| Some("~/keys".to_owned());
    assert_eq!(expand_with("$KEYS/a", || Some("/h".into()), variable), "/h/keys/a");
}

#[test]
fn fields_and_references_may_be_written_in_capitals() {
    let context = parse(r#"{"User": "u", "CREDS": "FILE:///c", "TLS_First": true}"#).unwrap();
    assert_eq!(context.user.as_deref(), Some("u"));
    assert_eq!(context.creds.as_deref(), Some(Path::new("/c")));
    assert!(context.tls_first);
    // The name as it should be comes first.
    let context = parse(r#"{"USER": "one", "user": "two", "User": "three"}"#).unwrap();
    assert_eq!(context.user.as_deref(), Some("two"));
}

#[test]
fn errors_name_file_and_field_and_no_value() {
    for (content, expected) in [
        (r#"{"password": 4711}"#, "password is not a string"),
        (r#"{"tls_first": "canary"}"#, "tls_first is not true or false"),
        (r#"{"windows_ca_certs_match": "canary"}"#, "windows_ca_certs_match is not a list"),
        (r#"{"windows_ca_certs_match": [1]}"#, "windows_ca_certs_match is not a list"),
        (r#"["canary"]"#, "is not a JSON object"),
        ("{\"password\":\n\"canary\",\n \"canary}", "is not JSON in line 3"),
        ("", "is not JSON"),
        (r#"{"url": "nats://u:canary@host:x"}"#, "url is not valid"),
        (r#"{"url": "gopher://host"}"#, "gopher"),
        (r#"{"creds": "op://canary/b/c"}"#, "creds refers to op"),
        (r#"{"password": "env://canary"}"#, "password refers to env"),
        (r#"{"token": "file:///canary"}"#, "token refers to file"),
        (r#"{"TOKEN": "File:///canary"}"#, "token refers to file"),
        (r#"{"user_seed": "DATA:,canary"}"#, "user_seed refers to data"),
        (r#"{"nsc": "nsc://o/a/u"}"#, "nsc refers to nsc"),
        (r#"{"nsc": "nsc://o/a/u", "url": "a"}"#, "nsc refers to nsc"),
    ] {
        let text = text(content);
        assert!(text.contains(expected), "{text}");
    }
}

/// What `options` have of a context with these fields.
fn parts(fields: &str) -> Parts {
    parse(fields).unwrap().options::<Fake>().unwrap().into_parts(Vec::new())
}

#[test]
fn certificates_and_addresses_with_tls_are_a_demand_for_it_from_all_servers() {
    for (fields, demanded) in [
        (r#"{"url": "a,nats://b"}"#, TlsMode::Available),
        (r#"{"cert": "c.pem"}"#, TlsMode::Available),
        (r#"{"key": "k.pem"}"#, TlsMode::Available),
        (r#"{"ca": "ca.pem"}"#, TlsMode::Required),
        (r#"{"cert": "c.pem", "key": "k.pem"}"#, TlsMode::Required),
        (r#"{"url": "nats://a,tls://b"}"#, TlsMode::Required),
        (r#"{"url": "ws://a,wss://b"}"#, TlsMode::Required),
        (r#"{"url": "tls://a", "tls_first": true}"#, TlsMode::First),
    ] {
        assert_eq!(parts(fields).config.tls, demanded, "{fields}");
    }
}

#[test]
fn a_token_goes_along_with_what_else_there_is() {
    let sent = |fields| {
        let parts = parts(fields);
        match (parts.hooks.auth, parts.config.auth) {
            (Some(ask), _) => block_on(ask(b"nonce".to_vec())).unwrap(),
            (None, AuthSource::Fixed(auth)) => auth,
            (None, other) => panic!("{fields}: {other:?}"),
        }
    };
    let auth = sent(r#"{"token": "t", "user": "u", "password": "p"}"#);
    assert_eq!((auth.username.as_deref(), auth.password.as_deref()), (Some("u"), Some("p")));
    assert_eq!(auth.token.as_deref(), Some("t"));
    let auth = sent(r#"{"token": "t", "user_jwt": "j"}"#);
    assert_eq!((auth.jwt.as_deref(), auth.token.as_deref()), (Some("j"), Some("t")));
    assert_eq!(sent(r#"{"token": "t"}"#).token.as_deref(), Some("t"));
}

#[test]
fn proxies_that_no_one_could_be_introduced_to_are_refused() {
    let context = parse(r#"{"socks_proxy": "socks5://canary@p"}"#).unwrap();
    let error = context.options::<Fake>().map(drop).unwrap_err();
    assert!(matches!(error, ContextError::ProxyCredentials { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("password") && !text.contains("canary"), "{text}");
}

#[test]
fn debug_shows_no_secret() {
    for fields in [
        r#""user": "ann", "password": "canary-4711", "token": "canary-4711""#,
        r#""user_jwt": "canary-4711", "user_seed": "canary-4711""#,
        r#""token": "canary-4711", "socks_proxy": "socks5://u:canary-4711@h""#,
    ] {
        let url = format!("nats://ann:{SECRET}@a,nats://{SECRET}@b");
        let context = parse(&format!(r#"{{"url": "{url}", {fields}}}"#)).unwrap();
        let text = format!("{context:?} {context:#?} {:?}", context.auth());
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("/c/x.json"));
    }
}

#[test]
fn contexts_are_found_by_name_or_as_the_selected_one() {
    let directory = Directory::new();
    let files = directory.files();
    assert_eq!(files.known().unwrap(), [""; 0]);
    assert_eq!(files.selected().unwrap(), None);
    assert!(matches!(files.load(None), Err(ContextError::NoneSelected { .. })));

    directory.write("context/prod.json", r#"{"description": "p"}"#);
    directory.write("context/ngs.js.json", r#"{"description": "n"}"#);
    directory.write("context/empty.json", "");
    directory.write("context/notes.txt", "x");
    directory.write("context/directory.json/x", "x");
    directory.write("context.txt", " ngs.js\n");
    assert_eq!(files.known().unwrap(), ["ngs.js", "prod"]);
    assert_eq!(files.selected().unwrap().as_deref(), Some("ngs.js"));
    let loaded =
        |name| files.load(name).map(|context| (context.name, context.description.unwrap()));
    assert_eq!(loaded(Some("prod")).unwrap(), ("prod".into(), "p".into()));
    for selected in [None, Some("")] {
        assert_eq!(loaded(selected).unwrap(), ("ngs.js".into(), "n".into()));
    }
    assert!(matches!(files.load(Some("other")), Err(ContextError::NotFound { .. })));
    assert!(matches!(files.load(Some("directory")), Err(ContextError::Read { .. })));
}

#[test]
fn a_file_anywhere_is_a_context() {
    let directory = Directory::new();
    let path = directory.write("elsewhere", r#"{"user": "ann"}"#);
    let context = Context::from_file(&path).unwrap();
    assert_eq!((context.name.as_str(), context.path), ("elsewhere", path));
    assert_eq!(context.user.as_deref(), Some("ann"));
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let directory = Directory::new();
    directory.write("secret.json", "{}");
    directory.write("context/prod.json", "{}");
    let bad = [
        "../secret",
        "..",
        ".",
        "a/../prod",
        "a/b",
        "/etc/x",
        "..\\secret",
        "a..b",
        "a\nb",
        "a\0",
        "./prod",
    ];
    for name in bad {
        let error = directory.files().load(Some(name)).unwrap_err();
        assert!(matches!(error, ContextError::InvalidName { .. }), "{name:?}: {error}");
        directory.write("context.txt", name);
        // Of the selected name, only the blanks around it are taken off.
        assert!(directory.files().load(None).is_err(), "{name:?}");
    }
}

#[test]
fn the_directory_is_that_of_the_xdg_settings_or_else_of_the_home() {
    let path = |config: Option<&str>, home: Option<&str>| {
        let files = Files::new(config.map(PathBuf::from), home.map(PathBuf::from));
        files.and_then(|files| files.load(Some("x"))).unwrap_err().to_string()
    };
    let at = |start: &str| {
        let file = Path::new(start).join("nats").join("context").join("x.json");
        format!("there is no context {}", file.display())
    };
    assert_eq!(path(Some("/no/such"), Some("/no/home")), at("/no/such"));
    assert_eq!(path(Some(""), Some("/no/home")), at("/no/home/.config"));
    assert_eq!(path(None, Some("/no/home")), at("/no/home/.config"));
    assert_eq!(path(None, None), ContextError::NoHome.to_string());
}
