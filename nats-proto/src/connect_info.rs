//! CONNECT: what a client says about itself.

mod deserialize;

use alloc::string::String;
use core::fmt;

use serde::Serialize;

/// What a client says about itself and wants of the server.
///
/// This struct is the whole of what is ever sent: no other setting of a client can reach the wire by accident.
/// `Debug` does not show secrets.
///
/// The flags that a client leaves out mean what a `nats-server` takes them for: verbose, pedantic and echo are
/// then **true**, all others false. [`Default`] has them all false. It is read as there in other ways, too: names in
/// any case, `null` for what is left out, the last one of fields of the same name, and texts that need not be UTF-8.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConnectInfo {
    /// Whether the server acknowledges every operation with +OK.
    pub verbose: bool,
    /// Whether the server checks subjects strictly.
    pub pedantic: bool,
    /// Whether the client wants messages that it published itself. Needs protocol 1 on both sides if false.
    pub echo: bool,
    /// Whether the client wants TLS.
    pub tls_required: bool,
    /// The user's JWT. Secret.
    #[serde(rename = "jwt", skip_serializing_if = "Option::is_none")]
    pub user_jwt: Option<String>,
    /// The user's public nkey. Not shown, like the secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The signed nonce, in base64url without padding. Secret.
    #[serde(rename = "sig", skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// The token. Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// The name of the client, shown by monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The language of the client.
    pub lang: String,
    /// The version of the client.
    pub version: String,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// Whether the client understands headers.
    pub headers: bool,
    /// Whether the server shall answer requests that nobody listens to with status 503. Needs `headers`.
    pub no_responders: bool,
}

/// The version of the protocol that a client speaks: on the wire, its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "u8")]
pub enum Protocol {
    /// 0: the server sends INFO once.
    #[default]
    Original,
    /// 1: the server may send INFO at any time, to tell of other servers or of its end.
    Dynamic,
    /// One that no server knows, and that servers refuse. A number that is no `u8` is read as 255.
    Unknown(u8),
}

impl From<u8> for Protocol {
    fn from(version: u8) -> Self {
        match version {
            0 => Self::Original,
            1 => Self::Dynamic,
            version => Self::Unknown(version),
        }
    }
}

impl From<Protocol> for u8 {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Original => 0,
            Protocol::Dynamic => 1,
            Protocol::Unknown(version) => version,
        }
    }
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Destructured, so that a new field is an error here until somebody has decided whether it is secret.
        let Self {
            verbose,
            pedantic,
            echo,
            tls_required,
            user_jwt,
            nkey,
            signature,
            user,
            pass,
            auth_token,
            name,
            lang,
            version,
            protocol,
            headers,
            no_responders,
        } = self;
        f.debug_struct("ConnectInfo")
            .field("verbose", verbose)
            .field("pedantic", pedantic)
            .field("echo", echo)
            .field("tls_required", tls_required)
            .field("user_jwt", &redacted(user_jwt))
            .field("nkey", &redacted(nkey))
            .field("signature", &redacted(signature))
            .field("user", user)
            .field("pass", &redacted(pass))
            .field("auth_token", &redacted(auth_token))
            .field("name", name)
            .field("lang", lang)
            .field("version", version)
            .field("protocol", protocol)
            .field("headers", headers)
            .field("no_responders", no_responders)
            .finish()
    }
}

fn redacted(secret: &Option<String>) -> Option<fmt::Arguments<'static>> {
    secret.as_ref().map(|_| format_args!("<redacted>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_secret() {
        let secret = || Some(String::from("canary-4711"));
        let info = ConnectInfo {
            user_jwt: secret(),
            nkey: secret(),
            signature: secret(),
            pass: secret(),
            auth_token: secret(),
            user: Some("derek".into()),
            ..ConnectInfo::default()
        };
        for text in [format!("{info:?}"), format!("{info:#?}")] {
            assert!(!text.contains("canary"), "{text}");
            assert_eq!(text.matches("<redacted>").count(), 5);
            assert!(text.contains("derek"));
        }
    }

    #[test]
    fn every_flag_is_sent_and_absent_options_are_not() {
        assert_eq!(
            serde_json::to_string(&ConnectInfo::default()).unwrap(),
            r#"{"verbose":false,"pedantic":false,"echo":false,"tls_required":false,"lang":"","version":"","protocol":0,"headers":false,"no_responders":false}"#
        );
    }

    #[test]
    fn reads_back_what_it_writes() {
        let some = |text: &str| Some(String::from(text));
        let info = ConnectInfo {
            echo: true,
            tls_required: true,
            user_jwt: some("j"),
            nkey: some("n"),
            signature: some("s"),
            user: some("u\"\r\n"),
            pass: some("p"),
            auth_token: some("t"),
            name: some("c"),
            lang: "rust".into(),
            version: "0.1.0".into(),
            protocol: Protocol::Dynamic,
            headers: true,
            no_responders: true,
            ..ConnectInfo::default()
        };
        let json = serde_json::to_string(&info).unwrap();
        assert!(!json.contains(['\r', '\n']));
        assert_eq!(serde_json::from_str::<ConnectInfo>(&json).unwrap(), info);
    }
}
