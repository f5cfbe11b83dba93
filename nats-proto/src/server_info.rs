//! INFO: what a server says about itself.

mod deserialize;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Serialize, Serializer};

/// What a server says about itself, first when a client connects and again whenever something changes.
///
/// Fields that this version does not know are ignored, and fields that are left out, or `null`, have the value of
/// [`Default`], but for `max_payload`: a server is free to say little. As in Go, names of fields may be in any case, and the
/// last of several with the same name counts. When serialised, the fields that a `nats-server` leaves out when
/// they are empty or false are left out as well, and so is an empty `go`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerInfo {
    /// The unique id of the server.
    pub server_id: String,
    /// The name of the server, which is its id unless it was configured.
    pub server_name: String,
    /// The version of the server.
    pub version: String,
    /// The version of the protocol: from 1 on, the server sends INFO again when the cluster changes, and obeys
    /// `echo: false`. What is too large is read as [`i8::MAX`].
    pub proto: i8,
    /// The commit that the server was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    /// The version of Go that the server was built with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go: String,
    /// The host that the server was told to listen on. Not to be trusted as a name for TLS.
    pub host: String,
    /// The port that the server listens on. What is no port is read as 0, as if nothing was said.
    pub port: u16,
    /// Whether messages may have headers.
    pub headers: bool,
    /// Whether the server wants credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Whether the connection must be upgraded to TLS now.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// Whether the server wants a client certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// Whether the connection may be upgraded to TLS if the client wants it.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// The most bytes of headers and payload together that the server accepts in one message; with zero, which an account
    /// or a user may be limited to, only empty ones. The INFO that follows CONNECT carries the limit of the account. A server
    /// that says -1, for no limit, or does not say, is read as [`usize::MAX`].
    #[serde(serialize_with = "told")]
    pub max_payload: usize,
    /// Whether the server offers JetStream.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// The number that the server gave to this connection. Another one after each reconnect.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub client_id: u64,
    /// The address of the client as the server sees it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    /// What the client must sign when it authenticates with an nkey.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// The name of the cluster, if the server is part of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether the name of the cluster was made up by the servers and may change.
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Servers that clients can connect to, as `host:port` without scheme. Entries beyond
    /// [`MAX_CONNECT_URLS`](Self::MAX_CONNECT_URLS) are dropped while reading.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Servers that clients can connect to by WebSocket, bounded like `connect_urls`. WebSocket clients get
    /// these addresses in `connect_urls` as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Whether the server is about to shut down and asks its clients to go elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub lame_duck_mode: bool,
    /// Whether this is the answer to CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// Whether the client is bound to the system account. Known only after CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    /// The level of the JetStream API.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub api_lvl: u32,
    /// The public curve key of the server, for encrypted auth callouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xkey: Option<String>,
}

impl ServerInfo {
    /// The most entries of [`connect_urls`](Self::connect_urls) and [`ws_connect_urls`](Self::ws_connect_urls)
    /// that are kept.
    pub const MAX_CONNECT_URLS: usize = 1024;
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

fn is_zero_u32(value: &u32) -> bool {
    *value == 0
}

/// What is read as the same.
fn told<S: Serializer>(limit: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(i64::try_from(*limit).unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a `nats-server` 2.15 sends it.
    const INFO: &str = r#"{"server_id":"NDJ4","server_name":"NDJ4","version":"2.15.1","proto":1,"git_commit":"abc","go":"go1.25","host":"127.0.0.1","port":4222,"headers":true,"auth_required":true,"max_payload":1048576,"jetstream":true,"client_id":5,"client_ip":"127.0.0.1","nonce":"xyz","cluster":"c","connect_urls":["127.0.0.1:4222"],"ldm":true,"connect_info":true,"acc_is_sys":true,"api_lvl":3,"xkey":"XA"}"#;

    #[test]
    fn reads_and_writes_what_a_server_sends() {
        let info: ServerInfo = serde_json::from_str(INFO).unwrap();
        assert_eq!(info.server_id, "NDJ4");
        assert_eq!(info.proto, 1);
        assert_eq!(info.port, 4222);
        assert_eq!(info.max_payload, 1_048_576);
        assert_eq!(info.client_id, 5);
        assert_eq!(info.cluster.as_deref(), Some("c"));
        assert_eq!(info.connect_urls, ["127.0.0.1:4222"]);
        assert!(info.headers && info.auth_required && info.jetstream && info.lame_duck_mode);
        assert!(info.connect_info && info.acc_is_sys && !info.tls_required);
        assert_eq!(info.api_lvl, 3);
        assert_eq!(serde_json::to_string(&info).unwrap(), INFO);
    }

    #[test]
    fn a_list_of_addresses_that_is_none_is_told() {
        let error = serde_json::from_str::<ServerInfo>(r#"{"connect_urls":7}"#).unwrap_err();
        assert!(error.to_string().contains("expected a list of strings or null"), "{error}");
    }

    #[test]
    fn says_only_what_a_server_says_when_there_is_nothing_to_say() {
        assert_eq!(
            serde_json::to_string(&ServerInfo::default()).unwrap(),
            r#"{"server_id":"","server_name":"","version":"","proto":0,"host":"","port":0,"headers":false,"max_payload":0}"#
        );
    }

    #[test]
    fn ignores_unknown_fields_and_tolerates_missing_ones_and_null_lists() {
        let info: ServerInfo =
            serde_json::from_str(r#"{"future":{"a":[1]},"connect_urls":null,"cluster":null}"#)
                .unwrap();
        let unlimited = ServerInfo { max_payload: usize::MAX, ..ServerInfo::default() };
        assert_eq!(info, unlimited);
    }

    #[test]
    fn keeps_no_more_than_the_first_1024_urls() {
        let list = (0..5000).map(|n| format!("host{n}:1")).collect::<Vec<_>>();
        let json = serde_json::json!({ "connect_urls": list, "ws_connect_urls": list, "proto": 1 });
        let info: ServerInfo = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(info.connect_urls, list[..1024]);
        assert_eq!(info.ws_connect_urls, list[..1024]);
        assert_eq!(info.proto, 1);
    }

    #[test]
    fn a_payload_limit_that_is_negative_or_not_told_is_none_and_zero_is_one() {
        let limit = |json| serde_json::from_str::<ServerInfo>(json).unwrap().max_payload;
        assert_eq!((limit("{}"), limit(r#"{"max_payload":0}"#)), (usize::MAX, 0));
        let info: ServerInfo = serde_json::from_str(r#"{"max_payload":-1}"#).unwrap();
        assert_eq!(info.max_payload, usize::MAX);
        let json = serde_json::to_string(&info).unwrap();
        assert!(json.ends_with("\"max_payload\":-1}"), "{json}");
    }

    #[test]
    fn a_number_that_is_no_port_is_none() {
        let ports =
            [("-1", 0), ("65536", 0), ("18446744073709551616", 0), ("4222.5", 0), ("65535", 65535)];
        for (text, port) in ports {
            let info: ServerInfo =
                serde_json::from_str(&format!(r#"{{"port":{text},"proto":1}}"#)).unwrap();
            assert_eq!((info.port, info.proto), (port, 1), "{text}");
        }
        let error = serde_json::from_str::<ServerInfo>(r#"{"port":"4222"}"#).unwrap_err();
        assert!(error.to_string().contains("expected a number"), "{error}");
    }

    #[test]
    fn refuses_what_is_not_a_list_of_strings() {
        assert!(serde_json::from_str::<ServerInfo>(r#"{"connect_urls":[1]}"#).is_err());
        assert!(serde_json::from_str::<ServerInfo>(r#"{"connect_urls":"a:1"}"#).is_err());
    }
}
