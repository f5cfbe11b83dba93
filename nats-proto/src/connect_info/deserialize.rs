//! Reading CONNECT, as a `nats-server` does.

use core::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ConnectInfo, Protocol};
use crate::lenient::{Text, set, set_text};

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
    fn flags_left_out_mean_verbose_pedantic_and_echo() {
        let info: ConnectInfo = serde_json::from_str("{}").unwrap();
        assert!(info.verbose && info.pedantic && info.echo);
        assert!(!info.headers && !info.no_responders && !info.tls_required);
        assert_eq!(info.protocol, Protocol::Original);
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
