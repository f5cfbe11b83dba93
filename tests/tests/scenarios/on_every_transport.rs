//! Scenarios about what goes over the network, for every runtime, every server, and all that there may be on top of TCP.

macro_rules! on_every_transport {
    ($($combination:ident: $runtime:ty, $server:expr, $($transport:ident)*;)*) => {$(
        mod $combination {
            use super::*;

            $(mod $transport {
                use super::*;

                on_every_transport! { @each $runtime, $server, on_every_transport!(@of $transport) }
            })*
        }
    )*};
    (@of tcp) => { Transport::Tcp };
    (@of tls) => { Transport::Tls };
    (@of websocket) => { Transport::WebSocket };
    (@of compressed_websocket) => { Transport::CompressedWebSocket };
    (@of wss) => { Transport::SecureWebSocket };
    (@each $runtime:ty, $server:expr, $transport:expr) => {
        stamp! { $runtime, Over { server: $server, transport: $transport };
            breaking_writes {
                what_went_out_before_an_error_does_not_come_twice,
            }
            faulty_network {
                the_books_add_up_over_links_cut_under_load,
                a_direction_that_stalls_is_found_stale,
                a_pause_shorter_than_the_keepalive_breaks_nothing,
                a_drip_is_enough,
                a_byte_spoiled_by_the_network_ends_the_link_by_name,
                wherever_a_byte_is_spoiled_the_books_add_up,
                a_direction_that_ends_is_the_end_of_the_link,
                a_partition_is_outlived,
                links_cut_within_the_handshake_come_back,
                refused_links_are_tried_again,
            }
        }
    };
}
