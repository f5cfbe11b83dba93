//! Real servers accept what nkeys sign, and nothing else.

use nats_proto::auth::{Auth, KeyPair, UserCredentials, encode_signature};
use nats_tests::server::{Options, RawConnection, RealServer, Release, TestServer};

/// A server with an operator and an account, and a user of that.
const OPERATOR: &str = include_str!("../fixtures/operator.conf");
const CREDENTIALS: &str = include_str!("../fixtures/user.creds");

/// Connects with what `auth` makes of the nonce.
fn introduced(server: &RealServer, auth: impl FnOnce(&str) -> Auth) -> RawConnection {
    let mut connection = RawConnection::connect(server.addr());
    let info = connection.read_info();
    let nonce = info.split("\"nonce\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let auth = auth(nonce.expect("a server that wants signatures sends a nonce"));
    let mut fields = vec![String::from("\"verbose\":false,\"pedantic\":false")];
    let signature = auth.signature.map(|signature| encode_signature(&signature));
    for (name, value) in [("jwt", auth.jwt), ("nkey", auth.nkey), ("sig", signature)] {
        fields.extend(value.map(|value| format!("\"{name}\":\"{value}\"")));
    }
    connection.send(format!("CONNECT {{{}}}\r\nPING\r\n", fields.join(",")).as_bytes());
    connection
}

fn check(options: &Options, auth: impl Fn(&str) -> Auth) {
    for release in Release::ALL {
        let server = RealServer::start(release, options);
        introduced(&server, &auth).expect_line("PONG");
        // Signing another nonce than that of this connection proves nothing.
        introduced(&server, |nonce| auth(&format!("{nonce}A")))
            .expect_line("-ERR 'Authorization Violation'");
    }
}

#[test]
fn an_nkey_opens_the_door() {
    let seed = "SUAAWMCVPKP4J2IOGNMH3IWH5QITMW4AUXFO6FBZL2B2RTPSC46GDBQN2I";
    let pair = KeyPair::from_seed(seed).unwrap();
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", pair.public_key());
    check(&Options::new().extra(&users), |nonce| pair.auth(nonce));
}

#[test]
fn credentials_open_the_door() {
    let credentials = UserCredentials::parse(CREDENTIALS).unwrap();
    check(&Options::new().extra(OPERATOR), |nonce| credentials.auth(nonce));
}
