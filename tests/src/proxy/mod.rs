//! A network that can be broken: a TCP proxy between clients and a server.
//!
//! It passes everything on until it is told otherwise. Like the servers, it is blocking and needs std alone, so that
//! it serves tests on any runtime. What it is told holds for all links through it, those of the future included,
//! until [`heal`](Proxy::heal).

mod link;
#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use link::Link;

/// How long to wait for the end of links that end. Only turns a test that would hang into one that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    const fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

/// How the bytes of a direction flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// As they come.
    #[default]
    Free,
    /// Not at all. What is under way waits in the buffers of the system, and in the end the sender waits, too.
    Stalled,
    /// So many bytes at a time.
    Dripping {
        /// How many.
        bytes: usize,
        /// The time between two portions.
        every: Duration,
    },
}

/// What can happen to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both ends read that the other has reset the connection. What was under way is lost.
    Reset,
    /// Both ends read the end of the stream, behind what was passed on before.
    End,
    /// The end of this direction alone: the receiver reads it, the sender is not told.
    HalfEnd,
    /// The next byte of this direction is another one, and not ASCII.
    Corrupt,
}

/// A proxy on a port of its own. Dropping it resets what goes through it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy to the server at `target`, which need not run yet.
    ///
    /// # Panics
    /// There is no port left.
    pub fn start(target: SocketAddr) -> Self {
        Self::with(target, State::default())
    }

    /// Starts a proxy that also keeps what clients say, for [`said`](Self::said).
    ///
    /// # Panics
    /// There is no port left.
    pub fn recording(target: SocketAddr) -> Self {
        Self::with(target, State { said: Some(Vec::new()), ..State::default() })
    }

    fn with(target: SocketAddr, state: State) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is left");
        let addr = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, target, &shared)
        });
        Self { addr, shared, acceptor: Some(acceptor) }
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as a URL, without credentials.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Sets how the bytes of a direction flow from now on.
    pub fn flow(&self, direction: Direction, flow: Flow) {
        self.shared.lock().lanes[direction.index()].flow = flow;
        self.shared.changed.notify_all();
    }

    /// Lets a fault happen once so many more bytes have gone in this direction, whatever link they are of. Only the
    /// last one that a direction was told of happens.
    pub fn plant(&self, direction: Direction, after: u64, fault: Fault) {
        self.shared.lock().lanes[direction.index()].planted = Some((after, fault));
    }

    /// Breaks every link now: [`Fault::Reset`] or [`Fault::End`], which are of both directions.
    pub fn cut(&self, fault: Fault) {
        // Only once: a client may have opened the next link by then.
        self.happen(Direction::ToServer, fault);
    }

    /// Ends one direction of every link now: see [`Fault::HalfEnd`].
    pub fn half_close(&self, direction: Direction) {
        self.happen(direction, Fault::HalfEnd);
    }

    /// The network is parted: links hang, and so do those that are opened now, without a word to anybody.
    pub fn partition(&self) {
        for direction in Direction::BOTH {
            self.flow(direction, Flow::Stalled);
        }
    }

    /// Sets whether new links are reset at once. Those that are open stay.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().refusing = refusing;
    }

    /// Undoes everything but what has happened already: bytes flow, links are let through, nothing is planted.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.lanes = Default::default();
        state.refusing = false;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// How many links have been let through.
    pub fn links(&self) -> usize {
        self.shared.lock().accepted
    }

    /// All that clients have said, whether it went on to the server or not, for each link that has been let through.
    /// Waits until every link has ended, so that nothing is missing.
    ///
    /// # Panics
    /// A link does not end, or the proxy is not [`recording`](Self::recording).
    pub fn said(&self) -> Vec<Vec<u8>> {
        let open = |state: &mut State| !state.links.is_empty();
        let changed = &self.shared.changed;
        let (state, waited) = changed
            .wait_timeout_while(self.shared.lock(), PATIENCE, open)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} links do not end", state.links.len());
        state.said.clone().expect("the proxy has been recording")
    }

    fn happen(&self, direction: Direction, fault: Fault) {
        let links = self.shared.lock().links.clone();
        for link in links {
            link.suffer(direction, fault);
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.cut(Fault::Reset);
        // The acceptor looks at `closed` when somebody comes.
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of the acceptor has been printed, and this may run during another one.
            let _ = acceptor.join();
        }
    }
}

/// What the proxy is told, and what it has.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something has changed for a direction that stalls, or a link has ended.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lanes: [Lane; 2],
    refusing: bool,
    closed: bool,
    accepted: usize,
    links: Vec<Arc<Link>>,
    /// What clients have said over each link let through, if it is kept.
    said: Option<Vec<Vec<u8>>>,
}

#[derive(Debug, Default)]
struct Lane {
    flow: Flow,
    planted: Option<(u64, Fault)>,
}

/// What a lane does with the bytes that wait.
#[derive(Debug, Default)]
struct Portion {
    /// So many pass.
    bytes: usize,
    /// The first of them is spoiled.
    corrupt: bool,
    /// Then this happens.
    fault: Option<Fault>,
    /// And then there is a pause.
    pause: Option<Duration>,
}

impl Lane {
    /// What happens to `waiting` bytes, of which there is at least one.
    fn portion(&mut self, waiting: usize) -> Portion {
        let mut portion = Portion { bytes: waiting, ..Portion::default() };
        if let Flow::Dripping { bytes, every } = self.flow {
            portion.bytes = waiting.min(bytes);
            portion.pause = Some(every);
        }
        match &mut self.planted {
            Some((0, Fault::Corrupt)) => {
                portion.corrupt = true;
                self.planted = None;
            }
            Some((left, fault)) => {
                portion.bytes = portion.bytes.min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= portion.bytes as u64;
                if *left == 0 && *fault != Fault::Corrupt {
                    portion.fault = Some(*fault);
                    self.planted = None;
                }
            }
            None => {}
        }
        portion
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what has come from the client of a link, if that is wanted: whether it is.
    fn record(&self, link: usize, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        let said = state.said.as_mut().and_then(|said| said.get_mut(link));
        said.map(|said| said.extend_from_slice(bytes)).is_some()
    }

    /// Waits while the direction stalls, then says what becomes of the bytes that wait. Nothing if the link is broken.
    fn portion(&self, direction: Direction, link: &Link, waiting: usize) -> Option<Portion> {
        let stalled = |state: &mut State| {
            state.lanes[direction.index()].flow == Flow::Stalled && !link.is_reset()
        };
        let mut state =
            self.changed.wait_while(self.lock(), stalled).unwrap_or_else(PoisonError::into_inner);
        (!link.is_reset()).then(|| state.lanes[direction.index()].portion(waiting))
    }
}

/// Lets clients through until the proxy is dropped.
fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => panic!("the proxy cannot accept: {error}"),
        };
        // Locked until the link is listed: who sees the server accept it may break it then.
        let mut state = shared.lock();
        if state.closed {
            return;
        }
        let server = if state.refusing { None } else { TcpStream::connect(target).ok() };
        let Some(server) = server else {
            drop(state);
            link::reset(client);
            continue;
        };
        let link = Arc::new(Link::new(state.accepted, client, server));
        state.accepted += 1;
        if let Some(said) = &mut state.said {
            said.push(Vec::new());
        }
        state.links.push(Arc::clone(&link));
        drop(state);
        link.run(shared);
    }
}
