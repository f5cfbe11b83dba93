//! Clients that others wrote find the same on the broker as on the real server.
//!
//! Each runs a script that says what it sees, on every kind of server: the transcripts must be equal. The clients are
//! fetched once, with Python's and Node's own tools, into the build directory; where those tools are missing, the test
//! fails.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nats_tests::server::{Host, Options, Release, ServerKind};

/// The servers besides the first, which says what is right.
const REFERENCE: ServerKind = ServerKind::Real(Release::V2_15);
const OTHERS: [ServerKind; 3] = [
    ServerKind::Real(Release::V2_10),
    ServerKind::Broker(Host::Tokio),
    ServerKind::Broker(Host::AsyncStd),
];

/// A directory of the build with one version of a client in it, which `fetch` puts there if it is missing.
fn fetched(name: &str, fetch: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    let kept = all.join(name);
    if !kept.exists() {
        // Moved into its place last, so that nobody takes half of it for the whole.
        let scratch = all.join(format!("fetch-{name}-{}", std::process::id()));
        fs::create_dir_all(&scratch).expect("the build directory can be written");
        fetch(&scratch);
        if fs::rename(&scratch, &kept).is_err() {
            assert!(kept.exists(), "{} cannot be moved to {}", scratch.display(), kept.display());
        }
    }
    kept
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?} does not work, which this test needs: {status:?}"
    );
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// What `client` says on servers of this kind.
fn transcript(mut client: Command, kind: ServerKind) -> Vec<String> {
    let mut open = kind.start(&Options::new().max_payload(100_000));
    let user = kind.start(&Options::new().user_password("ann", "s3cret"));
    let token = kind.start(&Options::new().token("t0ken"));
    client.env("OPEN_URL", open.url()).env("USER_URL", user.url()).env("TOKEN_URL", token.url());
    let mut process = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{client:?}, which this test needs: {error}"));
    let mut answers = process.stdin.take().expect("it is piped");
    let mut lines = Vec::new();
    for line in BufReader::new(process.stdout.take().expect("it is piped")).lines() {
        let line = line.expect("the client says UTF-8");
        match line.as_str() {
            "@restart" => open.restart(),
            "@lame_duck" => open.lame_duck(),
            _ => {}
        }
        if line.starts_with('@') {
            writeln!(answers, "done").expect("the client listens");
        }
        lines.push(line);
    }
    let status = process.wait().expect("it is a child of this process");
    assert!(status.success(), "{kind}: {status} after\n{}", lines.join("\n"));
    lines
}

fn assert_same_everywhere(client: impl Fn() -> Command) {
    let expected = transcript(client(), REFERENCE);
    assert_eq!(expected.last().map(String::as_str), Some("done"));
    println!("{} lines:\n{}", expected.len(), expected.join("\n"));
    for kind in OTHERS {
        let found = transcript(client(), kind);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "on {kind}, other than on {REFERENCE}");
        }
        assert_eq!(found.len(), expected.len(), "{kind} has more to say, or less");
    }
}

#[test]
fn the_python_client_sees_the_same_on_every_server() {
    const PACKAGE: &str = "nats-py==2.16.0";
    let packages = fetched(PACKAGE, |directory| {
        run(Command::new("python3")
            .args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet"])
            .args(["--no-deps", "--target"])
            .arg(directory)
            .arg(PACKAGE));
    });
    assert_same_everywhere(|| {
        let mut python = Command::new("python3");
        python.arg(script("client.py")).env("PYTHONPATH", &packages);
        python
    });
}

#[test]
fn the_node_client_sees_the_same_on_every_server() {
    const PACKAGE: &str = "@nats-io/transport-node@3.4.0";
    let packages = fetched(&PACKAGE.replace('/', "-"), |directory| {
        run(Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
            ])
            .arg(directory)
            .arg(PACKAGE));
    });
    assert_same_everywhere(|| {
        let mut node = Command::new("node");
        node.arg(script("client.mjs")).env("NODE_PACKAGES", packages.join("node_modules/"));
        node
    });
}
