//! Turns, with a driver that the test plays.

use super::*;

/// Lets someone wait for their turn.
fn wait(turns: &mut Turns) {
    let old = turns.turn.register(&mut None, Waker::noop());
    assert!(old.is_none());
}

/// The driver comes by: how many may go on.
fn come_by(turns: &mut Turns, bytes: usize, taken: bool) -> usize {
    come_by_at(turns, Instant::ZERO, bytes, taken)
}

fn come_by_at(turns: &mut Turns, now: Instant, bytes: usize, taken: bool) -> usize {
    let mut wakers = Vec::new();
    turns.come_by(now, bytes, taken, false, &mut wakers);
    wakers.len()
}

#[test]
fn a_turn_ends_with_what_may_be_written_in_it_and_another_begins() {
    let mut turns = Turns::default();
    turns.spend(TURN - 1);
    assert!(!turns.is_over(true, false));
    turns.spend(1);
    assert!(turns.is_over(true, false));
    wait(&mut turns);
    assert_eq!(come_by(&mut turns, 10, false), 1);
    assert!(!turns.is_over(true, false));
    assert_eq!(turns.waiting(), 0);
}

#[test]
fn turns_go_to_one_after_the_other_and_to_nobody_before_the_last_was_heard_of() {
    let mut turns = Turns::default();
    let mut keys = [None; 3];
    for key in &mut keys {
        assert!(turns.turn.register(key, Waker::noop()).is_none());
    }
    for key in &mut keys {
        assert_eq!(come_by(&mut turns, 0, false), 1);
        assert_eq!(come_by(&mut turns, 0, false), 0, "one has not been heard of");
        assert!(turns.turn.remove(key).is_none(), "not the one that has waited for longest");
        turns.taken();
    }
    assert_eq!(come_by(&mut turns, 0, false), 0);
}

#[test]
fn a_turn_that_is_overdue_does_not_call_the_driver_back_for_nothing() {
    let (mut turns, mut key) = (Turns::default(), None);
    find_none(&mut turns, &mut key);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    find_none(&mut turns, &mut key);
    wait(&mut turns);
    turns.give_to_next(Instant::ZERO, &mut Vec::new());
    wait(&mut turns);
    let now = Instant::ZERO + PATIENCE;
    come_by_at(&mut turns, now, 0, false);
    assert!(turns.deadline().is_some_and(|deadline| deadline > now), "{:?}", turns.deadline());
}

#[test]
fn who_does_not_take_its_turn_is_passed_over() {
    let mut turns = Turns::default();
    wait(&mut turns);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    assert_eq!(turns.deadline(), None, "nobody waits");
    wait(&mut turns);
    let deadline = Instant::ZERO + PATIENCE;
    assert_eq!(turns.deadline(), Some(deadline));
    assert_eq!(come_by(&mut turns, 0, false), 0);
    assert_eq!(come_by_at(&mut turns, deadline, 0, false), 1);
    assert_eq!(turns.waiting(), 0);
}

#[test]
fn turns_are_shorter_and_collisions_fewer_where_others_wait() {
    let mut turns = Turns::default();
    turns.spend(SHORTEST);
    assert!(!turns.is_spent());
    for _ in 0..TURN / SHORTEST {
        wait(&mut turns);
    }
    assert!(turns.is_spent());
    assert_eq!(come_by(&mut turns, 1, false), 1);
    for _ in 0..COLLISIONS_AMONG_MANY {
        assert!(!turns.is_over(true, true));
    }
    assert!(turns.is_over(true, true));
    turns.spend(SHORTEST - 1);
    assert!(!turns.is_spent(), "no turn is shorter");
}

#[test]
fn nobody_waits_for_a_driver_that_has_no_reason_to_come_by() {
    let mut turns = Turns::default();
    turns.spend(TURN);
    assert!(!turns.is_over(false, false));
    assert_eq!(come_by(&mut turns, 10, true), 0);
    assert!(turns.is_over(false, false), "it writes");
    assert_eq!(come_by(&mut turns, 0, false), 0);
    assert!(!turns.is_over(false, false), "it has written all");
}

#[test]
fn a_driver_that_has_written_all_has_had_its_turn() {
    let mut turns = Turns::default();
    turns.spend(TURN);
    assert_eq!(come_by(&mut turns, 10, true), 0);
    assert!(turns.is_spent(), "it is not done");
    assert_eq!(come_by(&mut turns, 0, false), 0);
    assert!(!turns.is_spent());
}

#[test]
fn who_publishes_now_and_then_never_waits() {
    let mut turns = Turns::default();
    for _ in 0..1_000 {
        assert!(!turns.is_over(true, true));
        assert_eq!(come_by(&mut turns, OVERTAKING - 1, true), 0);
        // A little more has come while that was written.
        assert_eq!(come_by(&mut turns, OVERTAKING - 1, true), 0);
        assert_eq!(come_by(&mut turns, 0, false), 0);
    }
}

#[test]
fn those_who_collide_wait_until_all_is_written() {
    let mut turns = Turns::default();
    for _ in 0..COLLISIONS {
        assert!(!turns.is_over(true, true));
    }
    assert!(turns.is_over(true, true));
    assert!(!turns.is_over(true, false), "who did not collide goes on");
    wait(&mut turns);
    assert_eq!(come_by(&mut turns, 10, true), 0);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    assert!(!turns.is_over(true, true));
}

#[test]
fn a_driver_that_is_overtaken_again_and_again_ends_the_turn() {
    let mut turns = Turns::default();
    for _ in 0..OVERTAKEN {
        assert!(!turns.is_over(true, false));
        come_by(&mut turns, OVERTAKING, true);
    }
    assert!(!turns.is_over(true, false), "the first time was no overtaking");
    come_by(&mut turns, OVERTAKING, true);
    assert!(turns.is_over(true, false));
}

#[test]
fn nobody_waits_for_as_long_as_there_is_always_a_little() {
    let mut turns = Turns::default();
    wait(&mut turns);
    assert!((0..10).any(|_| come_by(&mut turns, 1, true) == 1));
}

#[test]
fn nobody_waits_for_a_turn_while_the_stream_takes_nothing() {
    let mut turns = Turns::default();
    turns.spend(TURN);
    come_by(&mut turns, 10, true);
    assert!(turns.is_over(true, false));
    wait(&mut turns);
    let mut wakers = Vec::new();
    turns.get_stuck(&mut wakers);
    assert_eq!(wakers.len(), 1);
    assert!(!turns.is_over(true, false));
    come_by(&mut turns, 10, false);
    assert!(turns.is_over(true, false), "it takes something again");
}

#[test]
fn a_crowd_that_waits_for_room_is_told_of_it_little_by_little() {
    let mut turns = Turns::default();
    let mut keys = vec![None; 3 * CROWD];
    for key in &mut keys {
        assert!(turns.room.register(key, Waker::noop()).is_none());
    }
    assert_eq!(come_by(&mut turns, 10, true), CROWD);
    assert_eq!(turns.deadline(), Some(Instant::ZERO + PATIENCE), "none of them may publish");
    // One has found no room. It is not behind those who have not tried.
    assert!(turns.room.register(&mut keys[1], Waker::noop()).is_none());
    assert_eq!(come_by(&mut turns, 10, false), 0);
    assert_eq!(turns.deadline(), None, "it comes by when that is written");
    assert_eq!(come_by(&mut turns, 0, false), CROWD);
    assert!(turns.room.remove(&mut keys[1]).is_none(), "told again");
    assert!(turns.room.remove(&mut keys[2 * CROWD - 1]).is_some(), "the last one not yet");
    assert_eq!(come_by(&mut turns, 0, false), CROWD);
    assert_eq!(turns.deadline(), None, "nobody waits");
}

#[test]
fn those_who_wait_for_room_are_told_of_none_without_a_link_and_all_of_its_end() {
    let mut turns = Turns::default();
    for _ in 0..2 * CROWD {
        assert!(turns.room.register(&mut None, Waker::noop()).is_none());
    }
    let mut wakers = Vec::new();
    for (bytes, taken) in [(10, true), (10, false), (0, false)] {
        turns.come_by(Instant::ZERO, bytes, taken, true, &mut wakers);
        assert_eq!((wakers.len(), turns.deadline()), (0, None));
    }
    turns.end(&mut wakers);
    assert_eq!(wakers.len(), 2 * CROWD);
}

#[test]
fn those_who_wait_for_room_are_told_of_it_and_not_overtaken() {
    let mut turns = Turns::default();
    assert!(turns.room.register(&mut None, Waker::noop()).is_none());
    assert!(turns.is_over(true, false));
    assert_eq!(come_by(&mut turns, 10, false), 0, "nothing was taken");
    wait(&mut turns);
    assert_eq!(come_by(&mut turns, 10, true), 1);
    assert!(!turns.is_over(true, false));
    assert_eq!(turns.waiting(), 1);
}

/// Lets someone whose message needs much wait for room again: the holder of `key`, who was told of it.
fn find_none(turns: &mut Turns, key: &mut Option<u64>) {
    assert!(turns.wait_for_room(key, Waker::noop(), true).is_none());
}

#[test]
fn one_that_was_told_of_room_and_found_none_is_told_alone_and_awaited() {
    let mut turns = Turns::default();
    let mut keys = [None; 3];
    for key in &mut keys {
        find_none(&mut turns, key);
    }
    assert_eq!(come_by(&mut turns, 10, true), 3, "none of them has been told before");
    wait(&mut turns);
    find_none(&mut turns, &mut keys[1]);
    find_none(&mut turns, &mut keys[0]);
    assert_eq!(come_by(&mut turns, 10, true), 1);
    assert_eq!(come_by(&mut turns, 0, false), 0, "it has not been heard of");
    assert!(turns.is_over(false, false), "others are not to be faster again");
    assert!(turns.leave_room(&mut keys[2]).is_none(), "told before");
    assert!(turns.is_over(false, false), "that was another one");
    assert!(turns.leave_room(&mut keys[1]).is_none(), "told alone");
    assert!(!turns.is_over(false, false));
    assert_eq!(come_by(&mut turns, 0, false), 2, "one for room, and one for a turn");
}

#[test]
fn one_that_is_told_alone_and_not_heard_of_is_passed_over() {
    let (mut turns, mut key) = (Turns::default(), None);
    find_none(&mut turns, &mut key);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    assert_eq!(turns.deadline(), None);
    find_none(&mut turns, &mut key);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    let deadline = Instant::ZERO + PATIENCE;
    assert_eq!(turns.deadline(), Some(deadline), "whoever comes meanwhile waits for that");
    wait(&mut turns);
    assert!(turns.wait_for_room(&mut None, Waker::noop(), false).is_none());
    assert_eq!(come_by(&mut turns, 0, false), 0);
    assert_eq!(come_by_at(&mut turns, deadline, 0, false), 2);
    assert!(!turns.is_over(false, false));
}

#[test]
fn one_that_was_to_be_told_alone_and_is_gone_keeps_room_from_nobody() {
    let (mut turns, mut key) = (Turns::default(), None);
    find_none(&mut turns, &mut key);
    assert_eq!(come_by(&mut turns, 0, false), 1);
    find_none(&mut turns, &mut key);
    assert!(turns.leave_room(&mut key).is_some());
    assert!(turns.wait_for_room(&mut None, Waker::noop(), false).is_none());
    assert_eq!(come_by(&mut turns, 0, false), 1);
    assert!(!turns.is_over(false, false));
}
