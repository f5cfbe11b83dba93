//! Scripts: what clients send, and what they must get back, to the byte.
//!
//! They are data, so that the same ones run on the broker's core in memory and on a real `nats-server` over
//! TCP. A file holds several, each of them with a title and lines of these forms (`A` is any client, a capital
//! letter; it is connected when it is first named):
//!
//! ```text
//! === title
//! option max_payload 100      a setting of the server
//! A? INFO auth_required       the greeting, see `normalise`
//! A connect                   CONNECT with everything modern in it, PING, and the answers to them
//! A gets in                   connects, again and again while the server has no room for it
//! A> PUB a 5                  sends a line and CRLF
//! A>> PUB a\x205\n            sends exactly these bytes
//! A< MSG a 1 5                gets this line and CRLF, and nothing before it
//! A nobody inbox 7 service    gets the 503 for a request to `service`: reply subject, sid, subject
//! A closed                    the server closes the connection, and nothing comes before that
//! wait 2500                   milliseconds
//! lame duck                   the server sends its clients away
//! because text                why the servers may differ in what follows
//! @broker A closed            a line for one server only: `broker`, `nats-server`, `2.10`, `2.15`,
//!                             or `new` (all but 2.10)
//! ```
//!
//! What is marked with `@` is a difference between the servers, and there is none that is not marked: a script
//! without a reason for it may not have one.
//!
//! `${a*100}` stands for a hundred times `a`. What one client sends in consecutive lines goes out at once. At
//! the end, every client that is still connected gets exactly one PONG for a PING: nothing else was left.

/// Everything modern in it.
const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"protocol":1,"headers":true,"no_responders":true}"#;

/// How often a client that is to get in tries to, and how many milliseconds apart.
const ATTEMPTS: usize = 6_000;
const PAUSE: u64 = 10;

/// One script.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) title: String,
    /// Settings of the server, by name.
    pub(crate) options: Vec<(String, String)>,
    /// Why the servers may differ in it; empty if they may not.
    pub(crate) because: String,
    steps: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    number: usize,
    /// The server that it is for, if it is not for all of them.
    only: Option<String>,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Greeting(char, String),
    GetsIn(char),
    Send(char, Vec<u8>),
    Expect(char, Vec<u8>),
    /// Reply subject, sid, subject.
    Nobody(char, Vec<String>),
    Closed(char),
    Wait(u64),
    LameDuck,
}

/// Where a script can run.
pub(crate) trait World {
    /// Whether a line that begins with `@` and this name is meant.
    fn is(&self, server: &str) -> bool;
    /// Opens a connection for a client.
    fn connect(&mut self, client: char);
    /// Sends bytes to the server.
    fn send(&mut self, client: char, bytes: &[u8]);
    /// Appends what came from the server, after waiting for it if necessary. False: nothing came.
    fn receive(&mut self, client: char, into: &mut Vec<u8>) -> bool;
    /// Whether the server closed the connection; asked when `receive` said that nothing came.
    fn is_closed(&mut self, client: char) -> bool;
    /// Lets time pass.
    fn wait(&mut self, millis: u64);
    /// Tells the server to send its clients away.
    fn lame_duck(&mut self);
}

/// Reads the scripts of a file.
pub(crate) fn parse(text: &str) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(title) = line.strip_prefix("=== ") {
            scripts.push(Script { title: title.to_owned(), ..Script::default() });
        } else if !(line.is_empty() || line.starts_with('#')) {
            let script = scripts.last_mut().expect("a title comes first");
            script.add(number, line);
        }
    }
    scripts
}

impl Script {
    fn add(&mut self, number: usize, line: &str) {
        if let Some(option) = line.strip_prefix("option ") {
            let (name, value) = option.split_once(' ').expect("an option has a value");
            self.options.push((name.to_owned(), value.to_owned()));
        } else if let Some(reason) = line.strip_prefix("because ") {
            self.because.push_str(reason);
        } else if let Some(marked) = line.strip_prefix('@') {
            assert!(!self.because.is_empty(), "line {number}: a difference has a reason");
            let (server, line) = marked.split_once(' ').expect("a line follows the server");
            self.push(number, Some(server), line);
        } else {
            self.push(number, None, line);
        }
    }

    fn push(&mut self, number: usize, only: Option<&str>, line: &str) {
        for step in steps(number, line) {
            match (self.steps.last_mut(), step) {
                // What one client sends in consecutive lines goes out at once.
                (
                    Some(Line { only: before, step: Step::Send(last, bytes), .. }),
                    Step::Send(client, more),
                ) if *last == client && before.as_deref() == only => bytes.extend(more),
                (_, step) => {
                    self.steps.push(Line { number, only: only.map(str::to_owned), step });
                }
            }
        }
    }

    /// Runs the script; the error says in which line what was different.
    pub(crate) fn run(&self, world: &mut dyn World) -> Result<(), String> {
        let mut clients: Vec<Client> = Vec::new();
        for Line { number, only, step } in &self.steps {
            if only.as_ref().is_some_and(|server| !world.is(server)) {
                continue;
            }
            let fail = |reason: String| format!("{:?}, line {number}: {reason}", self.title);
            let name = match step {
                Step::Wait(millis) => {
                    world.wait(*millis);
                    continue;
                }
                Step::LameDuck => {
                    world.lame_duck();
                    continue;
                }
                Step::Greeting(name, _)
                | Step::GetsIn(name)
                | Step::Send(name, _)
                | Step::Expect(name, _)
                | Step::Nobody(name, _)
                | Step::Closed(name) => *name,
            };
            let index = match clients.iter().position(|client| client.name == name) {
                Some(index) => index,
                None => {
                    clients.push(Client::connect(world, name));
                    clients.len() - 1
                }
            };
            let client = &mut clients[index];
            match step {
                Step::Send(_, bytes) => world.send(name, bytes),
                Step::Expect(_, bytes) => client.expect(world, bytes).map_err(fail)?,
                Step::Nobody(_, words) => {
                    let expected = nobody(world, words);
                    client.expect(world, &expected).map_err(fail)?;
                }
                Step::Greeting(_, text) => {
                    if client.greeting != format!("{text}\r\n") {
                        return Err(fail(format!("the greeting was {:?}", client.greeting)));
                    }
                }
                Step::GetsIn(_) => client.get_in(world).map_err(fail)?,
                Step::Closed(_) => {
                    while world.receive(name, &mut client.received) {}
                    if !client.received.is_empty() || !world.is_closed(name) {
                        return Err(fail(format!(
                            "not closed, but {:?}",
                            client.received.escape_ascii().to_string()
                        )));
                    }
                    client.closed = true;
                }
                Step::Wait(_) | Step::LameDuck => {}
            }
        }
        for client in clients.iter_mut().filter(|client| !client.closed) {
            world.send(client.name, b"PING\r\n");
            client.expect(world, b"PONG\r\n").map_err(|reason| {
                format!("{:?}, at the end, client {}: {reason}", self.title, client.name)
            })?;
        }
        Ok(())
    }
}

/// The answer to a request that nobody heard. 2.10 does not say which request that was.
fn nobody(world: &dyn World, words: &[String]) -> Vec<u8> {
    let [reply, sid, subject] = words else { panic!("not three words: {words:?}") };
    let field = match world.is("2.10") {
        true => String::new(),
        false => format!("Nats-Subject: {}\r\n", String::from_utf8_lossy(&unescape(subject))),
    };
    let block = format!("NATS/1.0 503\r\n{field}\r\n");
    let len = block.len();
    format!("HMSG {reply} {sid} {len} {len}\r\n{block}\r\n").into_bytes()
}

/// Without the second INFO, where that is not sent yet: 2.10 has neither it nor its field `connect_info`.
fn known_to(world: &dyn World, expected: &[u8]) -> Vec<u8> {
    let is_new = |line: &[u8]| line.starts_with(b"INFO ") && line.ends_with(b" connect_info\r\n");
    let lines = expected.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !(world.is("2.10") && is_new(line))).flatten().copied().collect()
}

/// What a line means.
fn steps(number: usize, line: &str) -> Vec<Step> {
    if let Some(millis) = line.strip_prefix("wait ") {
        return vec![Step::Wait(millis.parse().expect("a number of milliseconds"))];
    }
    if line == "lame duck" {
        return vec![Step::LameDuck];
    }
    let client = line.chars().next().expect("the line is not empty");
    assert!(client.is_ascii_uppercase(), "line {number}: {line}");
    let rest = &line[1..];
    let with_crlf = |text: &str| [&unescape(text)[..], b"\r\n"].concat();
    let step = if rest == " connect" {
        return vec![
            Step::Send(client, with_crlf(CONNECT)),
            Step::Send(client, b"PING\r\n".to_vec()),
            Step::Expect(client, b"PONG\r\nINFO connect_info\r\n".to_vec()),
        ];
    } else if rest == " gets in" {
        Step::GetsIn(client)
    } else if rest == " closed" {
        Step::Closed(client)
    } else if let Some(text) = rest.strip_prefix(" nobody ") {
        Step::Nobody(client, text.split(' ').map(str::to_owned).collect())
    } else if let Some(text) = rest.strip_prefix("? ") {
        Step::Greeting(client, text.to_owned())
    } else if let Some(text) = rest.strip_prefix(">> ") {
        Step::Send(client, unescape(text))
    } else if let Some(text) = rest.strip_prefix('>') {
        Step::Send(client, with_crlf(text.strip_prefix(' ').unwrap_or(text)))
    } else if let Some(text) = rest.strip_prefix('<') {
        Step::Expect(client, with_crlf(text.strip_prefix(' ').unwrap_or(text)))
    } else {
        panic!("line {number} is of no known form: {line}");
    };
    vec![step]
}

#[derive(Debug, Default)]
struct Client {
    name: char,
    greeting: String,
    /// What came and is not yet expected.
    received: Vec<u8>,
    closed: bool,
}

impl Client {
    fn connect(world: &mut dyn World, name: char) -> Self {
        world.connect(name);
        let mut client = Self { name, ..Self::default() };
        client.greeting = client.line(world);
        client
    }

    /// Connects anew until a PING is answered: one who has just left may still count for a moment.
    fn get_in(&mut self, world: &mut dyn World) -> Result<(), String> {
        for _ in 0..ATTEMPTS {
            world.send(self.name, b"PING\r\n");
            match self.line(world).as_str() {
                "PONG\r\n" => return Ok(()),
                // Of a connection that is closed with bytes unread, the answer may be lost.
                "" | "-ERR 'maximum connections exceeded'\r\n" => {}
                other => return Err(format!("not let in, but {other:?}")),
            }
            world.wait(PAUSE);
            *self = Self::connect(world, self.name);
        }
        Err(format!("not let in {ATTEMPTS} times"))
    }

    /// Takes one line off, in its normal form.
    fn line(&mut self, world: &mut dyn World) -> String {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return String::from_utf8_lossy(&normalise(&line)).into_owned();
            }
            if !world.receive(self.name, &mut self.received) {
                return String::from_utf8_lossy(&self.received).into_owned();
            }
        }
    }

    fn expect(&mut self, world: &mut dyn World, expected: &[u8]) -> Result<(), String> {
        let expected = &known_to(world, expected)[..];
        loop {
            self.received = normalise(&self.received);
            let common = self.received.iter().zip(expected).take_while(|(a, b)| a == b).count();
            if common == expected.len() {
                self.received.drain(..common);
                return Ok(());
            }
            // An INFO line is in its normal form only when it has come whole.
            let is_wrong = common < self.received.len() && !self.received.ends_with(b"\n");
            if (is_wrong
                && !self.received[..].starts_with(b"INFO")
                && !self.received.windows(6).any(|w| w == b"\nINFO "))
                || !world.receive(self.name, &mut self.received)
            {
                return Err(format!(
                    "expected {:?}, got {:?}",
                    expected.escape_ascii().to_string(),
                    self.received.escape_ascii().to_string()
                ));
            }
        }
    }
}

/// Writes INFO lines as the word and those of its flags that matter and are set, since the rest differs from
/// server to server: `INFO auth_required max_payload=100 connect_info ldm`. The default of max_payload is left out.
fn normalise(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !(line.starts_with(b"INFO {") && line.ends_with(b"\n")) {
            out.extend_from_slice(line);
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let mut normal = String::from("INFO");
        let is_set = |flag: &str| text.contains(&format!("\"{flag}\":true"));
        if is_set("auth_required") {
            normal.push_str(" auth_required");
        }
        let max_payload =
            text.split("\"max_payload\":").nth(1).and_then(|rest| rest.split([',', '}']).next());
        match max_payload {
            Some("1048576") => {}
            Some(number) => normal.push_str(&format!(" max_payload={number}")),
            None => normal.push_str(" no max_payload"),
        }
        if !(is_set("headers") && text.contains("\"proto\":1") && text.contains("\"client_id\":")) {
            normal.push_str(" old");
        }
        for flag in ["connect_info", "ldm"] {
            if is_set(flag) {
                normal.push(' ');
                normal.push_str(flag);
            }
        }
        out.extend_from_slice(normal.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads `\r`, `\n`, `\t`, `\0`, `\\`, `\xHH` and `${text*count}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(repeated) = rest.strip_prefix("${") {
            let (what, after) = repeated.split_once('}').expect("`${` has an end");
            let (what, count) = what.rsplit_once('*').expect("`${` has a count");
            let count: usize = count.parse().expect("the count is a number");
            out.extend_from_slice(what.repeat(count).as_bytes());
            rest = after;
            continue;
        }
        if first != '\\' {
            rest = &rest[first.len_utf8()..];
            out.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let (byte, used) = match &rest[1..2] {
            "r" => (b'\r', 2),
            "n" => (b'\n', 2),
            "t" => (b'\t', 2),
            "0" => (0, 2),
            "\\" => (b'\\', 2),
            "x" => (u8::from_str_radix(&rest[2..4], 16).expect("two hexadecimal digits"), 4),
            other => panic!("unknown escape \\{other}"),
        };
        out.push(byte);
        rest = &rest[used..];
    }
    out
}
