//! No text of any kind shows a secret: not of settings, not of errors, not of events.

use std::fmt::{Debug, Display};
use std::fs;
use std::net::TcpListener;
use std::thread;

use nats_client::{Auth, AuthError, ConnectErrorKind, ConnectOptions, Notice, Server};
use nats_proto::auth::{KeyPair, UserCredentials};
use nats_proto::connection::{AuthSource, Config};
use nats_proto::{ConnectInfo, Connection, Instant, ServerAddr};
use nats_tests::server::RawConnection;
use nats_tests::server::jwt::{Account, User};

use crate::support::{Env, Events, Rt};

/// Never to be seen in any text, not even in another case.
const SECRET: &str = "canaryinamine";

/// Everything that was said, and what must not be in it.
struct Texts {
    secrets: Vec<String>,
    texts: Vec<String>,
}

impl Texts {
    fn new(user: &User, jwt: &str) -> Self {
        // Any part of a secret is one: its beginning shows the kind, its middle nothing but itself.
        let seed = user.key().seed();
        let claims = jwt.split('.').nth(1).unwrap();
        let signature = jwt.split('.').nth(2).unwrap();
        let parts = [SECRET, &seed[8..20], &claims[20..32], &signature[8..20]];
        Self { secrets: parts.map(str::to_lowercase).to_vec(), texts: Vec::new() }
    }

    fn debug(&mut self, value: &impl Debug) {
        self.texts.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn all(&mut self, value: &(impl Debug + Display)) {
        self.debug(value);
        self.texts.push(format!("{value} {value:#}"));
    }

    fn check(&self) {
        for text in &self.texts {
            let lower = text.to_lowercase();
            for secret in &self.secrets {
                assert!(!lower.contains(secret), "{secret} in {text}");
            }
        }
    }
}

/// Every way to give credentials that look right.
async fn ways<R: Rt>(env: &Env<R, ()>, user: &User, jwt: &str) -> Vec<ConnectOptions<R>> {
    let credentials = format!("{jwt}\n{}\n", user.key().seed());
    let path = std::env::temp_dir().join(format!("{}.creds", user.key().public()));
    fs::write(&path, &credentials).unwrap();
    let file = env.options().credentials_file(&path).await.unwrap();
    // What was read is not needed again: a missing file is one more thing that can fail.
    fs::remove_file(&path).unwrap();
    let callback = env.options().auth_callback(|_| {
        let secret = || Some(SECRET.to_owned());
        let auth = Auth {
            jwt: secret(),
            nkey: secret(),
            signature: Some(SECRET.into()),
            password: secret(),
            token: secret(),
            ..Auth::new()
        };
        async move { Ok(auth) }
    });
    let key = user.key().clone();
    vec![
        env.options().token(SECRET.to_owned()),
        env.options().user_and_password("ann".to_owned(), SECRET.to_owned()),
        env.options().nkey(user.key().seed()),
        env.options().credentials(&credentials).unwrap(),
        env.options().jwt(jwt.to_owned(), move |nonce| {
            let signature = key.sign(&nonce);
            async move { Ok(signature) }
        }),
        env.options().max_control_line(64).token(SECRET.to_owned()),
        file,
        callback,
    ]
}

pub(crate) async fn no_setting_shows_a_secret<R: Rt>(env: Env<R, ()>) {
    let user = User::new();
    let jwt = Account::new().jwt(&user);
    let mut texts = Texts::new(&user, &jwt);
    for options in ways(&env, &user, &jwt).await {
        texts.debug(&options);
    }
    let secret = || Some(SECRET.to_owned());
    let pair = KeyPair::from_seed(&user.key().seed()).unwrap();
    let credentials = UserCredentials::from_parts(&jwt, &user.key().seed()).unwrap();
    texts.debug(&pair);
    texts.debug(&credentials);
    texts.debug(&credentials.auth("nonce"));
    texts.debug(&ConnectInfo {
        user_jwt: Some(jwt.clone()),
        nkey: secret(),
        signature: secret(),
        pass: secret(),
        auth_token: secret(),
        ..ConnectInfo::default()
    });
    for url in [format!("nats://ann:{SECRET}@localhost"), format!("nats://{SECRET}@localhost")] {
        let addr: ServerAddr = url.parse().unwrap();
        texts.all(&addr);
        let server = Server {
            addr: addr.clone().into(),
            failed_attempts: 0,
            did_connect: false,
            is_discovered: false,
            last_error: None,
        };
        texts.all(&server);
        texts.all(&Notice::ServersDiscovered(vec![addr.clone().into()]));
        for auth in [
            AuthSource::token(SECRET),
            AuthSource::user_password("ann", SECRET),
            AuthSource::Key(pair.clone().into()),
            AuthSource::Credentials(credentials.clone().into()),
        ] {
            texts.debug(&auth);
            let mut config = Config::new(vec![addr.clone()]);
            config.auth = auth;
            texts.debug(&config);
            let mut connection = Connection::new(config.into(), [0; 32], Instant::ZERO).unwrap();
            texts.debug(&connection);
            while let Some(event) = connection.poll_event() {
                texts.debug(&event);
            }
        }
    }
    texts.check();
}

pub(crate) async fn no_refused_setting_shows_a_secret<R: Rt>(env: Env<R, ()>) {
    let user = User::new();
    let jwt = Account::new().jwt(&user);
    let seed = user.key().seed();
    let mut texts = Texts::new(&user, &jwt);
    for garbage in [
        String::from(SECRET),
        seed.to_lowercase(),
        seed[..40].to_owned(),
        format!("{jwt}!\n{seed}"),
        format!("{jwt}\n{}", &seed[..40]),
        format!("-----\n{seed}\n-----\n"),
    ] {
        let error = env.options().credentials(&garbage).unwrap_err();
        assert!(error.to_string().contains("user") || error.to_string().contains("seed"));
        texts.all(&error);
        let path = std::env::temp_dir().join(format!("{}.creds", user.key().public()));
        fs::write(&path, &garbage).unwrap();
        let error = env.options().credentials_file(&path).await.unwrap_err();
        fs::remove_file(&path).unwrap();
        assert!(error.to_string().contains(".creds"), "{error}");
        // Its name is in it, and public.
        texts.all(&error);
    }
    for address in [
        format!("nats://ann:{SECRET}@local host"),
        format!("nats://ann:{SECRET}@localhost:port"),
        format!("nats://ann:{SECRET}/@localhost"),
        format!("nats://ann:{SECRET}%zz@localhost"),
        format!("http://{SECRET}@localhost"),
        format!("ann:{SECRET}@"),
        format!("nats://{SECRET}#@localhost"),
        format!("tls://ann:{SECRET}@localhost"),
        format!("ws://ann:{SECRET}@localhost"),
    ] {
        let error = env.options().connect(&address).await.unwrap_err();
        texts.all(&error);
    }
    texts.check();
}

pub(crate) async fn no_failed_attempt_shows_a_secret<R: Rt>(env: Env<R, ()>) {
    let user = User::new();
    let jwt = Account::new().jwt(&user);
    let mut texts = Texts::new(&user, &jwt);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // A server that refuses everybody. Some clients do not get as far as to introduce themselves.
    let server = thread::spawn(move || {
        loop {
            let mut client = RawConnection::accept(&listener);
            client.send(b"INFO {\"nonce\":\"abc\",\"auth_required\":true}\r\n");
            match client.try_read_line().as_deref() {
                Some("END") => return,
                Some(_) => client.send(b"-ERR 'Authorization Violation'\r\n"),
                None => {}
            }
        }
    });
    let mut attempts: Vec<_> = ways(&env, &user, &jwt)
        .await
        .into_iter()
        .map(|options| (options, format!("nats://{addr}")))
        .collect();
    attempts.push((env.options(), format!("nats://ann:{SECRET}@{addr}")));
    attempts.push((env.options(), format!("nats://{SECRET}@{addr}")));
    attempts.push((env.options().nkey(SECRET.to_owned()), format!("nats://{addr}")));
    let failing = env.options().auth_callback(|_| async { Err(AuthError::new("no luck")) });
    attempts.push((failing, format!("nats://{addr}")));
    for (options, url) in attempts {
        let (options, events) =
            Events::in_detail(options.retry_on_initial_connect().max_reconnects(2));
        let client = options.connect(&url).await.unwrap();
        texts.debug(&client);
        client.closed().await;
        texts.debug(&client);
        if let Ok(pool) = client.server_pool().await {
            pool.iter().for_each(|server| texts.all(server));
        }
        let seen = events.rest().await;
        let failed = |event: &Notice| matches!(event, Notice::ConnectFailed { .. });
        assert!(seen.iter().any(failed), "{seen:?}");
        seen.iter().for_each(|event| texts.all(event));
    }
    for options in ways(&env, &user, &jwt).await {
        let error = options.connect(format!("nats://{addr}")).await.unwrap_err();
        let known = [ConnectErrorKind::AuthorizationViolation, ConnectErrorKind::Authentication];
        assert!(known.contains(&error.kind()), "{error}");
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        texts.all(&error);
    }
    let mut last = RawConnection::connect(addr);
    last.read_info();
    last.send(b"END\r\n");
    server.join().unwrap();
    texts.check();
}
