//! The first program that a newcomer runs, run on every kind of server.

#![allow(clippy::duplicate_mod, reason = "once for each runtime, which is the point")]

mod on_async_std;
mod on_tokio;

use nats_tests::server::{Options, RealServer, Release, TestServer};

macro_rules! tours {
    ($module:ident, $block_on:expr) => {
        mod $module {
            use super::*;
            use crate::$module::tour::tour;

            #[test]
            fn the_tour_goes_to_its_end_on_the_embedded_broker() {
                $block_on(tour(None)).unwrap();
            }

            #[test]
            fn two_tours_at_a_time_go_to_their_ends_on_real_servers() {
                for release in Release::ALL {
                    let server = RealServer::start(release, &Options::new());
                    let tours = [tour(Some(server.url())), tour(Some(server.url()))];
                    $block_on(futures_util::future::try_join_all(tours)).unwrap();
                }
            }

            #[test]
            fn a_server_that_is_not_there_is_named() {
                let mut server = RealServer::start(Release::V2_15, &Options::new());
                server.kill();
                let text = $block_on(tour(Some(server.url()))).unwrap_err().to_string();
                assert!(text.contains(&server.url()), "{text}");
            }
        }
    };
}

mod tours {
    use super::*;

    fn on_a_tokio_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Runtime::new().unwrap().block_on(future)
    }

    tours!(on_tokio, super::on_a_tokio_runtime);
    tours!(on_async_std, async_std::task::block_on);
}
