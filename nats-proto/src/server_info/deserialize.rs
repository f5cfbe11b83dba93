//! Reading INFO, as clients in Go do.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::ServerInfo;
use crate::lenient::{Text, set, set_text};

impl<'de> Deserialize<'de> for ServerInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = ServerInfo;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ServerInfo, A::Error> {
        // Who names no limit has none. Zero is one: there are users who may send nothing but empty messages.
        let mut info = ServerInfo { max_payload: usize::MAX, ..ServerInfo::default() };
        while let Some(Text(mut name)) = map.next_key()? {
            name.make_ascii_lowercase();
            match &*name {
                "server_id" => set_string(&mut map, &mut info.server_id)?,
                "server_name" => set_string(&mut map, &mut info.server_name)?,
                "version" => set_string(&mut map, &mut info.version)?,
                "proto" => set_as(&mut map, &mut info.proto, |Proto(proto)| proto)?,
                "git_commit" => set_text(&mut map, &mut info.git_commit)?,
                "go" => set_string(&mut map, &mut info.go)?,
                "host" => set_string(&mut map, &mut info.host)?,
                "port" => set_as(&mut map, &mut info.port, |Port(port)| port)?,
                "headers" => set(&mut map, &mut info.headers)?,
                "auth_required" => set(&mut map, &mut info.auth_required)?,
                "tls_required" => set(&mut map, &mut info.tls_required)?,
                "tls_verify" => set(&mut map, &mut info.tls_verify)?,
                "tls_available" => set(&mut map, &mut info.tls_available)?,
                "max_payload" => set_as(&mut map, &mut info.max_payload, |Limit(limit)| limit)?,
                "jetstream" => set(&mut map, &mut info.jetstream)?,
                "client_id" => set(&mut map, &mut info.client_id)?,
                "client_ip" => set_string(&mut map, &mut info.client_ip)?,
                "nonce" => set_string(&mut map, &mut info.nonce)?,
                "cluster" => set_text(&mut map, &mut info.cluster)?,
                "cluster_dynamic" => set(&mut map, &mut info.cluster_dynamic)?,
                "domain" => set_text(&mut map, &mut info.domain)?,
                "connect_urls" => set_as(&mut map, &mut info.connect_urls, |List(list)| list)?,
                "ws_connect_urls" => {
                    set_as(&mut map, &mut info.ws_connect_urls, |List(list)| list)?;
                }
                "ldm" => set(&mut map, &mut info.lame_duck_mode)?,
                "connect_info" => set(&mut map, &mut info.connect_info)?,
                "acc_is_sys" => set(&mut map, &mut info.acc_is_sys)?,
                "api_lvl" => set(&mut map, &mut info.api_lvl)?,
                "xkey" => set_text(&mut map, &mut info.xkey)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(info)
    }
}

/// As [`set`], for a field that is read by way of another type.
fn set_as<'de, A: MapAccess<'de>, T: Deserialize<'de>, U>(
    map: &mut A,
    field: &mut U,
    from: fn(T) -> U,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        *field = from(value);
    }
    Ok(())
}

fn set_string<'de, A: MapAccess<'de>>(map: &mut A, field: &mut String) -> Result<(), A::Error> {
    set_as(map, field, |Text(text)| text)
}

/// A version of the protocol, of which clients have so few bits.
struct Proto(i8);

impl<'de> Deserialize<'de> for Proto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let proto = i64::deserialize(deserializer)?;
        Ok(Self(proto.clamp(i8::MIN.into(), i8::MAX.into()) as i8))
    }
}

/// A number of bytes, where a negative number stands for no limit.
struct Limit(usize);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = i64::deserialize(deserializer)?;
        Ok(Self(usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

/// A port, which is only told to the application: no number is worth a connection.
struct Port(u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Port;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, port: u64) -> Result<Port, E> {
                Ok(Port(u16::try_from(port).unwrap_or_default()))
            }

            fn visit_i64<E>(self, _negative: i64) -> Result<Port, E> {
                Ok(Port(0))
            }

            fn visit_f64<E>(self, _fraction: f64) -> Result<Port, E> {
                Ok(Port(0))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// A list of texts, of which only the first [`ServerInfo::MAX_CONNECT_URLS`] are ever allocated.
struct List(Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings or null")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
                let mut list = Vec::new();
                while list.len() < ServerInfo::MAX_CONNECT_URLS {
                    match seq.next_element::<Option<Text>>()? {
                        Some(entry) => list.extend(entry.map(|Text(entry)| entry)),
                        None => return Ok(List(list)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &[u8]) -> ServerInfo {
        serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn null_is_nothing_in_any_field() {
        let json = serde_json::to_value(ServerInfo {
            git_commit: Some("c".into()),
            go: "g".into(),
            auth_required: true,
            tls_required: true,
            tls_verify: true,
            tls_available: true,
            jetstream: true,
            client_id: 1,
            client_ip: "i".into(),
            nonce: "n".into(),
            cluster: Some("c".into()),
            cluster_dynamic: true,
            domain: Some("d".into()),
            connect_urls: ["a:1".into()].into(),
            ws_connect_urls: ["a:1".into()].into(),
            lame_duck_mode: true,
            connect_info: true,
            acc_is_sys: true,
            api_lvl: 1,
            xkey: Some("x".into()),
            ..ServerInfo::default()
        })
        .unwrap();
        let names = json.as_object().unwrap().keys();
        assert_eq!(names.len(), 28, "all fields that there are");
        for name in names {
            let info = read(format!("{{\"{name}\":null,\"version\":\"2\"}}").as_bytes());
            let expected = ServerInfo {
                version: "2".into(),
                max_payload: usize::MAX,
                ..ServerInfo::default()
            };
            assert_eq!(info, expected, "{name}");
        }
        assert_eq!(read(br#"{"connect_urls":[null,"a:1",null]}"#).connect_urls, ["a:1"]);
    }

    #[test]
    fn the_last_field_of_a_name_in_any_case_counts() {
        let info =
            read(br#"{"proto":1,"Proto":0,"HEADERS":true,"server_name":"a","server_name":"b"}"#);
        assert_eq!((info.proto, info.headers, &*info.server_name), (0, true, "b"));
        assert!(read(br#"{"headers":true,"headers":null}"#).headers, "nothing is said");
    }

    #[test]
    fn texts_need_not_be_unicode_and_a_version_need_not_fit() {
        assert_eq!(read(b"{\"server_name\":\"a\xffb\"}").server_name, "a\u{fffd}b");
        assert!(read(br#"{"cluster":"\ud800"}"#).cluster.unwrap().contains('\u{fffd}'));
        for (number, proto) in [("128", 127), ("-129", -128), ("1", 1)] {
            assert_eq!(read(format!("{{\"proto\":{number}}}").as_bytes()).proto, proto);
        }
    }
}
