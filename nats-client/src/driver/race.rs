//! Which of several addresses answers first: RFC 8305, in its simple form.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use nats_proto::Rng;

use crate::runtime::Runtime;

/// How long an attempt may be alone before the next one begins beside it, as the RFC recommends.
const STAGGER: Duration = Duration::from_millis(250);

/// An address, and why there is no stream to it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) addr: SocketAddr,
    pub(super) error: io::Error,
}

/// The addresses to try, and those that cannot be.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) addrs: Vec<SocketAddr>,
    pub(super) skipped: Vec<Failure>,
}

/// Which of the addresses of one name comes first.
#[derive(Clone, Debug)]
pub(crate) enum First {
    /// The one at this place of the resolver's order, and around again: where attempts have failed, the next one begins
    /// behind those that they began with. An address may take connections and never say a word.
    At(usize),
    /// Any.
    Any(Rng),
}

/// Puts the addresses of one name into the order of trying: the families take turns, beginning with the one that the
/// resolver likes best. What a socket bound to `local` cannot reach is left out.
pub(super) fn in_order(addrs: Vec<SocketAddr>, local: Option<SocketAddr>, chosen: First) -> Order {
    let reachable = |addr: &SocketAddr| local.is_none_or(|local| local.is_ipv4() == addr.is_ipv4());
    let (addrs, others): (Vec<_>, Vec<_>) = addrs.into_iter().partition(reachable);
    let skipped = others.into_iter().map(|addr| Failure { addr, error: other_family(local) });
    let ipv4_first = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addrs.into_iter().partition(|addr| addr.is_ipv4() == ipv4_first);
    let place = match chosen {
        First::At(place) => place,
        // ADR-11: the addresses of one name share the load.
        First::Any(mut rng) => {
            rng.shuffle(&mut first);
            rng.shuffle(&mut second);
            0
        }
    };
    let mut addrs = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    while first.len() + second.len() > 0 {
        addrs.extend(first.next());
        addrs.extend(second.next());
    }
    let place = place.checked_rem(addrs.len()).unwrap_or_default();
    addrs.rotate_left(place);
    Order { addrs, skipped: skipped.collect() }
}

fn other_family(local: Option<SocketAddr>) -> io::Error {
    let local = local.map(|local| local.to_string()).unwrap_or_default();
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("not tried, the local address {local} is of the other family"),
    )
}

/// Connects to the addresses until one answers: the next attempt begins when one has failed, or after [`STAGGER`]. The
/// first stream wins, and the other attempts are dropped, as all of them are with the future.
///
/// # Errors
/// None answered: every address with its reason, in the order of failing.
pub(super) async fn race<R, F, T>(
    addrs: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Vec<Failure>>
where
    R: Runtime,
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addrs.into_iter();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures = Vec::new();
    let mut pause: Option<Pin<Box<R::Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            if pause.is_none()
                && let Some(addr) = waiting.next()
            {
                running.push((addr, Box::pin(connect(addr))));
                pause = (waiting.len() > 0).then(|| Box::pin(R::sleep(STAGGER)));
            }
            let failed_before = failures.len();
            let mut at = 0;
            while let Some((addr, attempt)) = running.get_mut(at) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        failures.push(Failure { addr: *addr, error });
                        running.remove(at);
                    }
                }
            }
            if running.is_empty() && waiting.len() == 0 {
                return Poll::Ready(Err(std::mem::take(&mut failures)));
            }
            let over = pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_ready());
            if waiting.len() == 0 || (failures.len() == failed_before && !over) {
                return Poll::Pending;
            }
            pause = None;
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    use super::*;
    use crate::testing::{Fake, block_on};

    fn addrs(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|addr| addr.parse().expect("an address")).collect()
    }

    /// What the attempts have done, in order.
    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<String>>>);

    impl Log {
        fn note(&self, what: &str, addr: SocketAddr) {
            self.0.borrow_mut().push(format!("{what} {}", addr.port()));
        }

        fn take(&self) -> Vec<String> {
            self.0.take()
        }
    }

    /// Notes that an attempt is over, whatever the reason.
    struct Dropped(Log, SocketAddr);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("drop", self.1);
        }
    }

    /// Ports from 1 to 9 stall, from 10 to 19 refuse, others connect.
    async fn scripted(log: Log, addr: SocketAddr) -> io::Result<u16> {
        log.note("try", addr);
        let _dropped = Dropped(log, addr);
        match addr.port() {
            1..=9 => std::future::pending().await,
            10..=19 => Err(io::ErrorKind::ConnectionRefused.into()),
            port => Ok(port),
        }
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_resolvers_favourite() {
        let given = addrs(&["[::1]:1", "[::1]:2", "[::1]:3", "1.1.1.1:4", "1.1.1.1:5"]);
        let order = in_order(given, None, First::At(0));
        let ports: Vec<u16> = order.addrs.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 4, 2, 5, 3]);
        assert!(order.skipped.is_empty());
        let order = in_order(addrs(&["1.1.1.1:1", "[::1]:2", "1.1.1.1:3"]), None, First::At(0));
        let ports: Vec<u16> = order.addrs.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [1, 2, 3]);
    }

    #[test]
    fn each_address_comes_first_in_its_turn() {
        let given = addrs(&["[::1]:1", "[::1]:2", "1.1.1.1:3"]);
        let ports = |place| {
            let order = in_order(given.clone(), None, First::At(place));
            order.addrs.iter().map(SocketAddr::port).collect::<Vec<_>>()
        };
        assert_eq!([0, 1, 2, 3].map(ports), [[1, 3, 2], [3, 2, 1], [2, 1, 3], [1, 3, 2]]);
        assert!(in_order(Vec::new(), None, First::At(1)).addrs.is_empty());
    }

    #[test]
    fn shuffling_stays_within_the_families() {
        let given = addrs(&["[::1]:1", "1.1.1.1:2", "[::1]:3", "1.1.1.1:4", "[::1]:5", "[::1]:7"]);
        let mut seen = std::collections::HashSet::new();
        for seed in 0..64 {
            let order = in_order(given.clone(), None, First::Any(Rng::from_seed([seed; 32])));
            let families: Vec<bool> = order.addrs.iter().map(SocketAddr::is_ipv4).collect();
            assert_eq!(families, [false, true, false, true, false, false]);
            seen.insert(order.addrs);
        }
        assert!(seen.len() > 10, "{seen:?}");
    }

    #[test]
    fn what_the_local_address_cannot_reach_is_left_out_and_named() {
        let local = Some("127.0.0.2:0".parse().expect("an address"));
        let order = in_order(addrs(&["[::1]:1", "1.1.1.1:2"]), local, First::At(0));
        assert_eq!(order.addrs, addrs(&["1.1.1.1:2"]));
        let [skipped] = &order.skipped[..] else { panic!("{order:?}") };
        assert_eq!(skipped.addr, addrs(&["[::1]:1"])[0]);
        assert!(skipped.error.to_string().contains("127.0.0.2:0"), "{}", skipped.error);
    }

    #[test]
    fn the_second_address_wins_when_the_first_stalls() {
        let log = Log::default();
        let list = addrs(&["1.1.1.1:1", "1.1.1.1:20", "1.1.1.1:30"]);
        let won = block_on(race::<Fake, _, _>(list, |addr| scripted(log.clone(), addr)));
        assert_eq!(won.expect("a stream"), 20);
        assert_eq!(log.take(), ["try 1", "try 20", "drop 20", "drop 1"]);
    }

    #[test]
    fn after_a_failure_the_next_one_begins_at_once() {
        let log = Log::default();
        let list = addrs(&["1.1.1.1:10", "1.1.1.1:11", "1.1.1.1:20"]);
        let mut attempt = pin!(race::<Fake, _, _>(list, |addr| scripted(log.clone(), addr)));
        // One poll: no timer has fired meanwhile.
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(20)) = attempt.as_mut().poll(&mut cx) else { panic!("no stream") };
        assert_eq!(log.take().iter().filter(|line| line.starts_with("try")).count(), 3);
    }

    #[test]
    fn a_failure_names_every_address() {
        let list = addrs(&["1.1.1.1:10", "[::1]:11"]);
        let log = Log::default();
        let failures = block_on(race::<Fake, _, _>(list, |addr| scripted(log.clone(), addr)))
            .expect_err("nobody listens");
        let ports: Vec<u16> = failures.iter().map(|failure| failure.addr.port()).collect();
        assert_eq!(ports, [10, 11]);
        let none = block_on(race::<Fake, _, _>(Vec::new(), |addr| scripted(log.clone(), addr)));
        assert!(none.expect_err("no address").is_empty());
    }

    #[test]
    fn dropping_the_race_drops_every_attempt() {
        let log = Log::default();
        let list = addrs(&["1.1.1.1:1", "1.1.1.1:2", "1.1.1.1:3"]);
        let all = || log.0.borrow().iter().filter(|line| line.starts_with("try")).count() == 2;
        {
            let mut attempt = pin!(race::<Fake, _, _>(list, |addr| scripted(log.clone(), addr)));
            block_on(poll_fn(|cx| {
                assert!(attempt.as_mut().poll(cx).is_pending());
                if all() { Poll::Ready(()) } else { Poll::Pending }
            }));
        }
        assert_eq!(log.take(), ["try 1", "try 2", "drop 1", "drop 2"]);
    }
}
