//! CONNECT: what a client says about itself.

use alloc::string::String;
use core::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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

impl<'de> Deserialize<'de> for ConnectInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

/// Reads the fields as Go's JSON does, which knows less of an error than serde.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = ConnectInfo;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConnectInfo, A::Error> {
        let mut info =
            ConnectInfo { verbose: true, pedantic: true, echo: true, ..ConnectInfo::default() };
        let (mut lang, mut version) = (None, None);
        while let Some(Text(mut name)) = map.next_key()? {
            name.make_ascii_lowercase();
            match &*name {
                "verbose" => set(&mut map, &mut info.verbose)?,
                "pedantic" => set(&mut map, &mut info.pedantic)?,
                "echo" => set(&mut map, &mut info.echo)?,
                "tls_required" => set(&mut map, &mut info.tls_required)?,
                "jwt" => set_text(&mut map, &mut info.user_jwt)?,
                "nkey" => set_text(&mut map, &mut info.nkey)?,
                "sig" => set_text(&mut map, &mut info.signature)?,
                "user" => set_text(&mut map, &mut info.user)?,
                "pass" => set_text(&mut map, &mut info.pass)?,
                "auth_token" => set_text(&mut map, &mut info.auth_token)?,
                "name" => set_text(&mut map, &mut info.name)?,
                "lang" => set_text(&mut map, &mut lang)?,
                "version" => set_text(&mut map, &mut version)?,
                "protocol" => set(&mut map, &mut info.protocol)?,
                "headers" => set(&mut map, &mut info.headers)?,
                "no_responders" => set(&mut map, &mut info.no_responders)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        info.lang = lang.unwrap_or_default();
        info.version = version.unwrap_or_default();
        Ok(info)
    }
}

/// Sets a field to the next value, unless that is `null`.
fn set<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut A,
    field: &mut T,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value()? {
        *field = value;
    }
    Ok(())
}

/// The same for a text.
fn set_text<'de, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<String>,
) -> Result<(), A::Error> {
    if let Some(Text(value)) = map.next_value()? {
        *field = Some(value);
    }
    Ok(())
}

/// A text whose bytes are replaced where they are not UTF-8.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(String::from(text)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Protocol;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 64 bits")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Protocol, E> {
                let number = i64::try_from(number);
                number.map_err(|_| E::custom("too large")).and_then(|number| self.visit_i64(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Protocol, E> {
                Ok(Protocol::from(u8::try_from(number).unwrap_or(u8::MAX)))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Protocol, E> {
                // So serde_json reads -0.
                match number.to_bits() == (-0.0_f64).to_bits() {
                    true => Ok(Protocol::Original),
                    false => Err(E::custom("not whole")),
                }
            }
        }

        deserializer.deserialize_i64(Number)
    }
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
    fn flags_left_out_mean_verbose_pedantic_and_echo() {
        let info: ConnectInfo = serde_json::from_str("{}").unwrap();
        assert!(info.verbose && info.pedantic && info.echo);
        assert!(!info.headers && !info.no_responders && !info.tls_required);
        assert_eq!(info.protocol, Protocol::Original);
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

    #[test]
    fn ignores_unknown_fields_and_accepts_null_options() {
        let info: ConnectInfo =
            serde_json::from_str(r#"{"user":null,"account":"x","verbose":false}"#).unwrap();
        assert_eq!(info.user, None);
        assert!(!info.verbose);
    }

    fn read(json: &[u8]) -> Result<ConnectInfo, serde_json::Error> {
        serde_json::from_slice(json)
    }

    #[test]
    fn the_last_field_of_a_name_counts_and_null_is_none() {
        let info = read(
            br#"{"verbose":true,"VERBOSE":false,"name":"a","name":"b","protocol":7,"protocol":1}"#,
        )
        .unwrap();
        assert!(!info.verbose);
        assert_eq!(info.name.as_deref(), Some("b"));
        assert_eq!(info.protocol, Protocol::Dynamic);
        let info = read(
            br#"{"echo":false,"echo":null,"user":"a","user":null,"lang":null,"version":null,"protocol":null}"#,
        )
        .unwrap();
        assert!(!info.echo);
        assert_eq!(info.user.as_deref(), Some("a"));
        assert_eq!((&*info.lang, &*info.version), ("", ""));
    }

    #[test]
    fn texts_need_not_be_unicode() {
        let info = read(b"{\"name\":\"a\xffb\",\"\xff\":1,\"lang\":\"\xc3\xa9\\u00e9\"}").unwrap();
        assert_eq!(info.name.as_deref(), Some("a\u{fffd}b"));
        assert_eq!(info.lang, "éé");
        assert!(read(br#"{"name":"\ud800"}"#).unwrap().name.unwrap().contains('\u{fffd}'));
        for wrong in [r#"{"name":5}"#, r#"{"name":["a"]}"#, r#"{"user":{}}"#, r#"{"lang":true}"#] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_of_another_kind_is_told_from_what_it_should_be() {
        for (json, kind) in [
            ("[]", "an object"),
            (r#"{"name":5}"#, "a text"),
            (r#"{"protocol":"1"}"#, "a number of 64 bits"),
        ] {
            let error = read(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("expected {kind}")), "{error}");
        }
    }

    #[test]
    fn a_protocol_is_any_whole_number() {
        for (number, protocol) in [
            ("0", Protocol::Original),
            ("-0", Protocol::Original),
            ("1", Protocol::Dynamic),
            ("2", Protocol::Unknown(2)),
            ("256", Protocol::Unknown(255)),
            ("-1", Protocol::Unknown(255)),
            ("9223372036854775807", Protocol::Unknown(255)),
        ] {
            let info = read(format!("{{\"protocol\":{number}}}").as_bytes()).unwrap();
            assert_eq!(info.protocol, protocol, "{number}");
        }
        for wrong in ["1.0", "1e0", "9223372036854775808", "\"1\"", "true", "[1]"] {
            assert!(read(format!("{{\"protocol\":{wrong}}}").as_bytes()).is_err(), "{wrong}");
        }
    }
}
