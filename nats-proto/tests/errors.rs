//! Every error says what is wrong, with the value and the limit.

use nats_proto::connection::{
    AuthError, ConfigError, ConnectError, DialError, DisconnectReason, FlushError, PublishError,
    RequestError, SetServerPoolError, SubscribeError, TlsError, UnknownSubscription,
};
use nats_proto::{DecodeError, InvalidSubject, ServerAddrError, ServerError, SubjectError};

#[track_caller]
fn says(error: impl std::error::Error, text: &str) {
    assert_eq!(error.to_string(), text, "{error:?}");
}

#[test]
fn errors_of_connecting() {
    let handshake = TlsError::Handshake("unknown issuer".into());
    says(TlsError::EarlyData, "plain bytes came behind INFO, before the TLS handshake");
    says(
        TlsError::EarlyError("no\u{1b}".into()),
        "an -ERR came in plain text, before the TLS handshake: \"no\\u{1b}\"",
    );
    says(TlsError::Setup("no key".into()), "TLS is not set up: no key");
    says(handshake.clone(), "the TLS handshake failed: unknown issuer");
    says(
        DialError::Resolve("no such name".into()),
        "the host name could not be resolved: no such name",
    );
    says(DialError::Io("refused".into()), "refused");
    says(DialError::Unsupported("ws".into()), "the scheme \"ws\" is not supported");
    says(DialError::Tls(handshake.clone()), "the TLS handshake failed: unknown issuer");
    says(ConnectError::Dial(DialError::Io("refused".into())), "refused");
    says(ConnectError::TimedOut, "the connection was not up in time");
    says(ConnectError::AuthTimedOut, "the credentials were not given in time");
    says(
        ConnectError::Authorization(ServerError::AuthorizationViolation),
        "the server refuses the credentials: Authorization Violation",
    );
    says(
        ConnectError::TlsRequired,
        "TLS is required, and the client or the server does not offer it",
    );
    says(ConnectError::Tls(handshake), "the TLS handshake failed: unknown issuer");
    says(ConnectError::Auth(AuthError::new("no file")), "there are no credentials: no file");
    says(
        ConnectError::ConnectTooLong { size: 5_000, limit: 4_096 },
        "CONNECT has 5000 bytes, the server reads at most 4096: shorten the credentials or the name, or raise \
         max_control_line on both sides",
    );
    says(ConnectError::NoEchoUnsupported, "the server does not support no_echo");
    says(ConnectError::Lost(DisconnectReason::Eof), "the server closed the connection");
    says(ConnectError::MaxReconnects, "no server is left: each was tried as often as allowed");
}

#[test]
fn errors_of_a_connection() {
    let protocol = DecodeError::MissingPayloadEnd;
    says(DisconnectReason::Io("reset".into()), "reset");
    says(DisconnectReason::Tls("bad record".into()), "TLS failed: bad record");
    says(DisconnectReason::Stale, "stale connection: the server did not answer keepalive probes");
    says(
        DisconnectReason::Protocol(protocol),
        "the server broke the protocol: payload is not followed by CRLF",
    );
    says(
        DisconnectReason::Server(ServerError::StaleConnection),
        "the server reported an error: Stale Connection",
    );
    says(DisconnectReason::TimedOut, "the handshake did not end in time");
    says(DisconnectReason::Requested, "the application asked for it");
    says(DisconnectReason::LameDuck, "the server is going to shut down");
}

#[test]
fn errors_of_verbs() {
    let empty = InvalidSubject::Empty;
    says(PublishError::InvalidSubject(empty.clone()), "subject is empty");
    says(
        PublishError::InvalidReply(empty.clone()),
        "the reply subject is not valid: subject is empty",
    );
    says(
        PublishError::MaxPayloadExceeded { size: 9, limit: 8 },
        "headers and payload have 9 bytes, the server accepts at most 8",
    );
    says(PublishError::HeadersUnsupported, "the server does not support headers");
    says(
        PublishError::BufferFull { size: 9, buffered: 7, limit: 8, connected: true },
        "the send buffer has no room for a message of 9 bytes: 7 of 8 are waiting",
    );
    says(
        PublishError::BufferFull { size: 9, buffered: 7, limit: 8, connected: false },
        "the pending buffer has no room for a message of 9 bytes: 7 of 8 are waiting",
    );
    says(PublishError::Draining, "the connection is draining");
    says(PublishError::Closed, "the connection is closed");
    says(SubscribeError::InvalidSubject(empty.clone()), "subject is empty");
    says(
        SubscribeError::InvalidQueueGroup(InvalidSubject::EmptyQueueGroup),
        "the queue group is not valid: queue group is empty",
    );
    says(SubscribeError::Draining, "the connection is draining");
    says(SubscribeError::Closed, "the connection is closed");
    says(RequestError::TimedOut, "no reply came in time");
    says(RequestError::NoResponders, "nobody listens to the subject of the request");
    says(
        RequestError::InboxRefused,
        "the server does not allow the subscription for replies: check the permissions and the inbox prefix",
    );
    says(
        RequestError::PublishRefused,
        "the server does not allow publishing to the subject of the request: check the permissions",
    );
    says(
        RequestError::Dropped,
        "the request was given up before it was sent: there was no room to keep it, or the next server would not take it",
    );
    says(RequestError::Closed, "the connection is closed");
    says(FlushError::TimedOut, "the server did not answer in time");
    says(
        FlushError::Uncertain { count: 3 },
        "the connection broke: 3 messages may or may not have reached the server",
    );
    says(FlushError::Closed, "the connection is closed");
    says(UnknownSubscription, "the subscription has ended");
}

#[test]
fn errors_of_subjects() {
    let subject = || "a b".to_owned();
    says(
        SubjectError::InvalidFormat,
        "not a subject: it is empty, or has whitespace or an empty token",
    );
    says(
        InvalidSubject::Whitespace { subject: subject() },
        "subject \"a b\" has a space, tab, CR or LF",
    );
    says(
        InvalidSubject::EmptyToken { subject: "a..b".into() },
        "subject \"a..b\" has an empty token",
    );
    says(
        InvalidSubject::PartialWildcard { subject: "a.b*".into(), token: "b*".into() },
        "wildcard in token \"b*\" of subject \"a.b*\" is not a token of its own",
    );
    says(
        InvalidSubject::TailNotLast { subject: ">.a".into() },
        "wildcard '>' of subject \">.a\" is not the last token",
    );
    says(
        InvalidSubject::TooLong { len: 9, limit: 8 },
        "subject has 9 bytes (with reply subject or queue group), at most 8 fit into a control line",
    );
    says(InvalidSubject::EmptyQueueGroup, "queue group is empty");
    says(
        InvalidSubject::WhitespaceInQueueGroup { queue: subject() },
        "queue group \"a b\" has a space, tab, CR or LF",
    );
}

#[test]
fn errors_of_settings() {
    let mixed =
        SetServerPoolError::MixedSchemes { first: "ws://a".into(), other: "nats://b".into() };
    says(SetServerPoolError::Empty, "no server address is given");
    says(
        mixed.clone(),
        "ws://a and nats://b cannot be in one pool: either all servers are WebSocket or none",
    );
    says(SetServerPoolError::Closed, "the connection is closed");
    says(ConfigError::Servers(SetServerPoolError::Empty), "no server address is given");
    says(
        ConfigError::InvalidInboxPrefix(InvalidSubject::Empty),
        "the inbox prefix is not valid: subject is empty",
    );
    says(ConfigError::WildcardInboxPrefix("a.*".into()), "the inbox prefix \"a.*\" has wildcards");
    says(
        ConfigError::InboxPrefixTooLong { len: 9, limit: 8 },
        "the inbox prefix has 9 bytes, at most 8 leave room in a control line",
    );
    says(
        ServerAddrError::UnknownScheme { scheme: "http".into() },
        "scheme \"http\" is none of nats, tls, ws and wss",
    );
    says(
        ServerAddrError::HostTooLong { len: 300, limit: 255 },
        "host has 300 bytes, a name has at most 255",
    );
}

#[cfg(feature = "nkeys")]
#[test]
fn errors_of_credentials_show_no_text_of_them() {
    use nats_proto::auth::{CredentialsError, NKeyError};

    says(
        CredentialsError::TooLong { len: 9, limit: 8 },
        "credentials of 9 bytes are longer than 8 bytes",
    );
    says(CredentialsError::MissingJwt, "credentials have no user JWT");
    says(
        CredentialsError::BadJwt { position: 3 },
        "user JWT is not three parts in base64url with dots between them: wrong after 3 bytes",
    );
    says(CredentialsError::MissingSeed, "credentials have no user seed");
    says(
        CredentialsError::BadSeed(NKeyError::NotASeed),
        "credentials have no usable seed: text does not begin with SU as the seed of a user does",
    );
    says(NKeyError::WrongLength { len: 3, expected: 58 }, "seed has 3 characters instead of 58");
    says(
        NKeyError::BadCharacter { position: 7 },
        "seed has something else than A to Z and 2 to 7 after 7 characters",
    );
    says(
        NKeyError::NotAUser { role: "an account", prefix: "SA" },
        "seed is that of a role that cannot connect, an account (SA); that of a user begins with SU",
    );
    says(NKeyError::WrongChecksum, "seed has a wrong checksum: it was not copied right");
}

#[test]
fn errors_of_decoding() {
    let of = |error: DecodeError, text: &str| says(error, text);
    of(DecodeError::ControlLineTooLong { limit: 8 }, "control line is longer than 8 bytes");
    of(DecodeError::InfoTooLong { limit: 8 }, "INFO or CONNECT line is longer than 8 bytes");
    of(
        DecodeError::HeaderBlockTooLong { len: 9, limit: 8 },
        "header block of 9 bytes is longer than 8 bytes",
    );
    of(
        DecodeError::PayloadTooLong { len: 9, limit: 8 },
        "message of 9 bytes with its headers is longer than 8 bytes",
    );
    of(
        DecodeError::HeaderLongerThanTotal { headers: 9, total: 8 },
        "header block of 9 bytes is longer than its message of 8 bytes",
    );
    of(DecodeError::UnknownOperation("FOO".into()), "no operation begins with \"FOO\"");
    of(
        DecodeError::BadArguments { operation: "MSG", arguments: "a".into() },
        "bad arguments of MSG: \"a\"",
    );
    of(DecodeError::BadNumber { what: "sid", text: "x".into() }, "sid is not a number: \"x\"");
    of(
        DecodeError::BadJson { operation: "INFO", reason: "EOF".into() },
        "JSON of INFO cannot be read: EOF",
    );
}
