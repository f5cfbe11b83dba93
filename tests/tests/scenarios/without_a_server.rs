//! Scenarios in which the server is nobody, or the test itself: its kind makes no difference.

macro_rules! without_a_server {
    ($($combination:ident: $runtime:ty;)*) => {$(
        mod $combination {
            use super::*;

            stamp! { $runtime, ();
                offline {
                    what_is_no_address_is_refused_at_once,
                    a_server_that_never_speaks_is_given_up_in_time,
                    a_flush_that_is_not_answered_ends_in_time,
                }
                websocket {
                    path_and_headers_are_sent_with_the_request,
                    the_end_of_a_client_is_a_close_frame,
                    a_refused_request_is_told_with_its_status,
                    a_bomb_ends_the_connection_and_nothing_else,
                    transports_are_not_mixed,
                    headers_that_cannot_be_sent_are_refused_at_once,
                }
                dialling {
                    a_dialler_that_fails_is_quoted_and_one_that_hangs_is_dropped,
                    a_port_where_nobody_listens_refuses_from_any_address,
                    why_an_address_cannot_be_reached_from_another_is_told,
                    the_port_of_a_connection_that_has_ended_is_used_again,
                }
                tls {
                    the_peer_is_told_that_nothing_is_missing_however_a_client_ends,
                }
                tls_refusals {
                    credentials_are_never_sent_in_plain,
                    nothing_is_said_to_a_server_that_cannot_do_the_tls_that_is_required,
                    plain_bytes_behind_info_are_an_attack,
                    a_handshake_that_stalls_ends_in_time,
                    certificates_that_cannot_be_read_are_named,
                }
                secrets {
                    no_setting_shows_a_secret,
                    no_refused_setting_shows_a_secret,
                    no_failed_attempt_shows_a_secret,
                }
                hostile {
                    what_breaks_the_protocol_ends_the_connection_by_name,
                    what_breaks_the_protocol_at_first_fails_the_attempt_by_name,
                    lines_without_an_end_are_not_read_to_their_end,
                    floods_change_nothing,
                    a_flood_of_pings_by_a_server_that_does_not_read_fills_nothing,
                    limits_of_payloads_may_be_anything,
                    addresses_of_other_servers_may_be_nonsense_and_many,
                    a_nonce_of_any_length_is_signed,
                    headers_may_be_as_many_as_fit,
                    one_byte_at_a_time_is_enough_to_connect_but_not_for_ever,
                    the_end_of_one_direction_is_the_end,
                    who_hangs_up_at_once_is_not_dialled_at_once,
                }
                played {
                    every_error_of_a_connection_that_is_up_is_typed,
                    every_error_before_a_connection_is_up_fails_the_attempt,
                    no_echo_needs_a_server_that_knows_it,
                }
            }
        }
    )*};
}
