//! The example of a dialler, run to its end.

#[expect(dead_code, reason = "the entry point is the example's")]
#[path = "../../nats-tokio/examples/http_proxy.rs"]
mod example;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_goes_to_its_end() {
    example::run().await.unwrap();
}
