//! Whose turn it is, and who is known.

use super::*;
use crate::connection::DialError;

fn addr(text: &str) -> ServerAddr {
    text.parse().expect("a valid address")
}

fn config(servers: &[&str]) -> Config {
    let mut config = Config::new(servers.iter().map(|text| addr(text)).collect());
    config.retain_servers_order = true;
    config.reconnect_jitter = Duration::ZERO;
    config
}

fn advance(pool: &mut Pool, max_failures: Option<usize>) -> Turn {
    pool.rotate(max_failures);
    pool.next()
}

fn dialled(turn: Turn) -> ServerAddr {
    match turn {
        Turn::Dial(addr, _) => addr,
        Turn::Exhausted => panic!("no server is left"),
    }
}

fn urls(list: &[&str]) -> Vec<String> {
    list.iter().map(|url| String::from(*url)).collect()
}

#[test]
fn servers_take_turns_in_the_order_given() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a", "b", "a"]), &mut rng);
    let order: Vec<ServerAddr> = (0..4).map(|_| dialled(advance(&mut pool, None))).collect();
    assert_eq!(order, [addr("a"), addr("b"), addr("a"), addr("b")]);
}

#[test]
fn a_server_that_is_given_by_its_text_keeps_the_demand_for_tls_it_was_learned_with() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a"]), &mut rng);
    dialled(advance(&mut pool, None));
    pool.discover(&urls(&["b:1"]), Source::Encrypted, true, &mut rng);
    for next in ["b:1", "c"] {
        // The second time it is in use.
        pool.replace(vec![addr("b:1"), addr("c")], true, &mut rng).unwrap();
        let demands: Vec<bool> = pool.addrs().iter().map(ServerAddr::tls_required).collect();
        assert_eq!(demands, [true, false]);
        assert_eq!(dialled(advance(&mut pool, None)), addr(next));
    }
}

#[test]
fn a_failed_server_waits_and_a_lost_one_does_not() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    let now = Instant::from_millis(1_000);
    assert_eq!(advance(&mut pool, None), Turn::Dial(addr("a"), None));
    pool.failed(now, Some(&ConnectError::TimedOut), &config, &mut rng);
    assert_eq!(advance(&mut pool, None), Turn::Dial(addr("a"), Some(now + config.reconnect_wait)));
    pool.failed(now, None, &config, &mut rng);
    assert_eq!(advance(&mut pool, None), Turn::Dial(addr("a"), Some(now)));
}

#[test]
fn a_server_that_hangs_up_at_once_is_not_dialled_without_pause() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    let now = Instant::from_millis(1_000);
    dialled(advance(&mut pool, None));
    pool.dialled(now);
    pool.succeeded();
    let soon = now + Duration::from_millis(500);
    pool.failed(soon, None, &config, &mut rng);
    let Turn::Dial(_, Some(next)) = advance(&mut pool, None) else { panic!("no wait") };
    assert_eq!(next, now + config.reconnect_wait);
    pool.dialled(next);
    let late = next + Duration::from_secs(60);
    pool.failed(late, None, &config, &mut rng);
    assert_eq!(advance(&mut pool, None), Turn::Dial(addr("a"), Some(late)));
}

#[test]
fn a_server_is_given_up_after_the_maximum_and_success_resets_the_count() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    dialled(advance(&mut pool, Some(2)));
    pool.failed(Instant::ZERO, Some(&ConnectError::TimedOut), &config, &mut rng);
    dialled(advance(&mut pool, Some(2)));
    pool.succeeded();
    pool.failed(Instant::ZERO, None, &config, &mut rng);
    for _ in 0..2 {
        dialled(advance(&mut pool, Some(2)));
        pool.failed(Instant::ZERO, Some(&ConnectError::TimedOut), &config, &mut rng);
    }
    assert_eq!(advance(&mut pool, Some(2)), Turn::Exhausted);
}

#[test]
fn discovery_adds_drops_and_keeps() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a", "b"]), &mut rng);
    dialled(advance(&mut pool, None));
    assert_eq!(
        pool.discover(
            &urls(&["c:1", "d:1", "a:4222", "nonsense:x"]),
            Source::Plain,
            true,
            &mut rng
        ),
        [addr("c:1"), addr("d:1")]
    );
    // The explicit ones stay though they are not listed; c goes.
    assert_eq!(pool.discover(&urls(&["d:1", "e:1"]), Source::Plain, true, &mut rng), [addr("e:1")]);
    assert_eq!(pool.addrs(), [addr("a"), addr("b"), addr("d:1"), addr("e:1")]);
    // An empty list purges nothing.
    assert_eq!(pool.discover(&[], Source::Plain, true, &mut rng), []);
    assert_eq!(pool.addrs().len(), 4);
}

#[test]
fn what_a_server_of_the_old_pool_tells_is_for_the_transport_of_the_new_one_or_not_taken() {
    let mut rng = Rng::from_seed([1; 32]);
    for (new, taken) in [("ws://b", 0), ("tls://b", 2)] {
        let mut pool = Pool::new(&config(&["a"]), &mut rng);
        dialled(advance(&mut pool, None));
        pool.replace(vec![addr(new)], true, &mut rng).expect("a good pool");
        let added = pool.discover(&urls(&["a:4222", "c:1", "d:1"]), Source::Plain, true, &mut rng);
        assert_eq!(added.len(), taken, "{new}");
        assert_eq!(pool.addrs().len(), 1 + taken, "{new}");
        check(&pool.addrs()).expect("still a good pool");
    }
}

#[test]
fn an_endpoint_is_discovered_once_whatever_its_spelling() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["A"]), &mut rng);
    dialled(advance(&mut pool, None));
    let told = urls(&["b:1", "a:4222", "B:1", "[::1]:2", "[0::1]:2", "b:2"]);
    let added = pool.discover(&told, Source::Plain, true, &mut rng);
    let added: Vec<String> = added.iter().map(ToString::to_string).collect();
    assert_eq!(added, ["nats://b:1", "nats://[::1]:2", "nats://b:2"]);
    assert_eq!(pool.discover(&urls(&["B:1", "b:2"]), Source::Plain, true, &mut rng), []);
    assert_eq!(pool.addrs(), [addr("A"), addr("b:1"), addr("b:2")]);
}

#[test]
fn a_learned_server_that_is_given_is_the_same_with_its_own_name() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    dialled(advance(&mut pool, None));
    pool.discover(&urls(&["b:1", "c:1"]), Source::Anybody, true, &mut rng);
    // One in use, the other one not; both have failed.
    for _ in ["c:1", "b:1"] {
        dialled(advance(&mut pool, None));
        pool.failed(Instant::ZERO, Some(&ConnectError::TimedOut), &config, &mut rng);
    }
    let learned = pool.addrs();
    assert!(learned.iter().all(|addr| addr.tls_name() == "a"), "{learned:?}");
    for given in [learned, vec![addr("a"), addr("b:1"), addr("c:1")]] {
        pool.replace(given.clone(), true, &mut rng).expect("a good pool");
        assert_eq!(pool.current().map(ServerAddr::host), Some("c"));
        let mut servers = pool.servers();
        servers.sort_by(|one, other| one.addr.host().cmp(other.addr.host()));
        let failed: Vec<usize> = servers.iter().map(|server| server.failed_attempts).collect();
        assert_eq!(failed, [0, 1, 1], "what is known is kept");
        for server in servers {
            let name = given.iter().find(|addr| addr.host() == server.addr.host());
            assert_eq!(name.map(ServerAddr::tls_name), Some(server.addr.tls_name()));
            assert!(!server.is_discovered);
        }
    }
    // Whatever name it has, it can be chosen.
    pool.rotate(None);
    assert!(pool.choose(&addr("b:1")));
}

#[test]
fn a_demand_for_tls_is_handed_on_and_not_taken_back() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a", "c:1"]), &mut rng);
    dialled(advance(&mut pool, None));
    for (source, demand, name) in [
        (Source::Plain, false, "b"),
        (Source::Anybody, true, "a"),
        (Source::Plain, true, "a"),
        (Source::Encrypted, true, "b"),
        (Source::Plain, true, "b"),
        (Source::Anybody, true, "b"),
    ] {
        pool.discover(&urls(&["b:1", "c:1"]), source, true, &mut rng);
        let known = pool.addrs();
        // Nothing is demanded of those that were given, and neither of them is there twice.
        assert_eq!(known, [addr("a"), addr("c:1"), addr("b:1")]);
        let demands: Vec<bool> = known.iter().map(ServerAddr::tls_required).collect();
        assert_eq!(demands, [false, false, demand], "{source:?}");
        assert_eq!(known[2].tls_name(), name, "{source:?}");
    }
    // The application can name it all the same.
    pool.rotate(None);
    assert!(pool.choose(&addr("b:1")));
    let Turn::Dial(chosen, _) = pool.next() else { panic!("a server") };
    assert!(chosen.tls_required());
}

#[test]
fn servers_without_names_are_known_by_their_addresses_once_they_have_said_so() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["tls://10.0.0.1"]), &mut rng);
    dialled(advance(&mut pool, None));
    for (source, name) in [(Source::Anybody, "10.0.0.1"), (Source::Encrypted, "10.0.0.2")] {
        pool.discover(&urls(&["10.0.0.2:4222"]), source, true, &mut rng);
        assert_eq!(pool.addrs()[1].tls_name(), name, "{source:?}");
    }
}

#[test]
fn a_learned_server_in_use_is_not_dropped() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a"]), &mut rng);
    dialled(advance(&mut pool, None));
    pool.discover(&urls(&["b:1"]), Source::Plain, true, &mut rng);
    assert_eq!(dialled(advance(&mut pool, None)), addr("b:1"));
    pool.discover(&urls(&["c:1"]), Source::Plain, true, &mut rng);
    assert_eq!(pool.current(), Some(&addr("b:1")));
    assert_eq!(pool.addrs().len(), 3);
}

#[test]
fn servers_in_the_place_of_others_wait_as_those_did() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    let now = Instant::from_millis(1_000);
    let later = now + Duration::from_secs(1);
    dialled(advance(&mut pool, None));
    let discover = |pool: &mut Pool, list: &[&str]| {
        pool.discover(&urls(list), Source::Plain, true, &mut Rng::from_seed([1; 32]))
    };
    discover(&mut pool, &["b:1", "c:1", "d:1"]);
    for (host, times, at) in [("b:1", 2, now), ("c:1", 1, later)] {
        for _ in 0..times {
            pool.rotate(None);
            assert!(pool.choose(&addr(host)));
            dialled(pool.next());
            pool.failed(at, Some(&ConnectError::TimedOut), &config, &mut rng);
        }
    }
    pool.rotate(None);
    assert!(pool.choose(&addr("a")));
    dialled(pool.next());
    // One that stays takes nothing over, nor does one that comes for none.
    discover(&mut pool, &["b:1", "c:1", "d:1", "e:1"]);
    discover(&mut pool, &["d:1", "e:1", "f:1", "g:1"]);
    let known = |pool: &Pool| -> Vec<(String, usize, Option<Instant>)> {
        let members = pool.members();
        let known = members
            .map(|entry| (String::from(entry.addr.host()), entry.failures, entry.not_before));
        known.collect()
    };
    let wait = Some(later + config.reconnect_wait);
    let expected = [("a", 0, None), ("d", 0, None), ("e", 0, None), ("f", 0, wait), ("g", 0, wait)];
    assert_eq!(known(&pool), expected.map(|(host, failures, at)| (host.into(), failures, at)));
}

#[test]
fn servers_in_the_place_of_one_that_was_given_up_wait_unless_all_waits_are_forgotten() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a", "b"]);
    let wait = Some(Instant::ZERO + config.reconnect_wait);
    for (forgets, expected) in [(false, wait), (true, None)] {
        let mut pool = Pool::new(&config, &mut rng);
        dialled(advance(&mut pool, Some(1)));
        pool.failed(Instant::ZERO, Some(&ConnectError::TimedOut), &config, &mut rng);
        assert_eq!(dialled(advance(&mut pool, Some(1))), addr("b"));
        if forgets {
            pool.forget_waits();
        }
        pool.discover(&urls(&["c:1"]), Source::Plain, true, &mut rng);
        assert_eq!(pool.other_not_before(), expected);
    }
}

#[test]
fn of_a_long_reason_why_an_attempt_failed_the_beginning_is_kept() {
    let mut rng = Rng::from_seed([1; 32]);
    let config = config(&["a"]);
    let mut pool = Pool::new(&config, &mut rng);
    dialled(advance(&mut pool, None));
    let said = ConnectError::Dial(DialError::Io("e".repeat(64 * 1024)));
    pool.failed(Instant::ZERO, Some(&said), &config, &mut rng);
    let [server] = &pool.servers()[..] else { panic!("one server") };
    let kept = server.last_error.as_deref().expect("the attempt has failed");
    assert_eq!(kept.len(), SHOWN);
    assert!(said.to_string().starts_with(kept), "{kept}");
}

#[test]
fn the_same_refusal_twice_in_a_row_is_noticed() {
    let mut rng = Rng::from_seed([1; 32]);
    let mut pool = Pool::new(&config(&["a"]), &mut rng);
    dialled(advance(&mut pool, None));
    let error = ServerError::Other(String::from("no"));
    assert!(!pool.refused(&error));
    assert!(!pool.refused(&ServerError::Other(String::from("never"))));
    assert!(!pool.refused(&error));
    assert!(pool.refused(&error));
    pool.succeeded();
    assert!(!pool.refused(&error));
}
