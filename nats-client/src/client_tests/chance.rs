//! What no two clients have in common, though nothing tells them apart.

use super::connect;
use crate::testing::options;

#[test]
fn no_two_clients_have_the_same_inboxes() {
    let (one, other) = (connect(options()), connect(options()));
    let inboxes = |client: &crate::Client| [(); 3].map(|()| client.new_inbox());
    let (one, other) = (inboxes(&one.2), inboxes(&other.2));
    assert!(one.iter().all(|inbox| !other.contains(inbox)), "{one:?} and {other:?}");
}
