//! Scenarios for real servers alone: the embedded broker has no permissions, and cannot be frozen without freezing the
//! test.

macro_rules! on_every_process {
    ($($combination:ident: $runtime:ty, $release:expr;)*) => {$(
        mod $combination {
            use super::*;

            stamp! { $runtime, $release;
                stale {
                    a_frozen_server_is_given_up_and_found_again,
                    a_frozen_server_is_noticed_while_publishing,
                    a_server_that_reads_nothing_makes_publishers_wait,
                }
                dialling {
                    connections_come_from_the_local_address,
                    a_local_port_is_used_again_by_a_reconnect,
                }
                headers {
                    a_server_that_takes_none_is_used_without_them,
                }
                requests {
                    a_reply_may_come_with_the_subject_of_a_stored_message,
                }
                accounts {
                    a_service_of_another_account_is_asked,
                }
                payloads {
                    a_user_may_be_allowed_nothing_but_empty_messages,
                }
                unsubscribing {
                    a_limit_ends_what_comes_from_another_account,
                }
                websocket {
                    messages_and_requests_go_both_ways,
                    large_payloads_arrive_whole,
                    a_reconnect_goes_through_the_websocket_again,
                    pings_of_the_protocol_and_many_small_messages_pass,
                    a_server_inflates_all_that_is_sent_however_little_it_takes,
                    a_server_that_stops_says_so_in_its_close_frame,
                    a_listener_for_websockets_is_thought_of_where_nothing_is_said,
                }
                permissions {
                    a_refused_subscription_ends_and_says_why,
                    a_refused_publish_is_an_event,
                    a_refusal_finds_its_subscription_whatever_it_is_called,
                    a_subscription_that_waits_is_told_of_its_refusal,
                    one_subscription_too_many_is_told_so,
                    a_new_configuration_ends_what_it_forbids,
                    requests_say_that_they_are_not_allowed,
                    requests_say_that_their_replies_are_not_allowed,
                }
                tls {
                    a_server_that_requires_tls_gets_it,
                    a_server_that_offers_tls_gets_it_if_it_is_required,
                    tls_may_come_before_the_first_word,
                    roots_come_from_files_and_from_memory,
                    a_client_shows_its_certificate_if_it_is_asked,
                    a_certificate_may_say_who_one_is,
                    a_configuration_of_rustls_replaces_all_else,
                    large_payloads_go_both_ways_at_once,
                    threads_that_publish_while_others_receive_lose_nothing,
                    renewed_certificates_are_used_on_the_next_attempt,
                    a_server_discovered_by_its_address_is_checked_by_name,
                    websockets_are_encrypted_first,
                }
                tls_network {
                    a_host_that_info_names_is_not_what_the_certificate_is_checked_for,
                    an_encrypted_link_that_is_cut_is_noticed_and_the_next_is_encrypted,
                }
                tls_refusals {
                    bad_certificates_of_servers,
                    an_authority_that_the_system_does_not_know,
                    certificates_of_clients_that_are_missing_or_foreign,
                    a_certificate_that_is_missing_where_websockets_want_one,
                    a_server_without_tls_if_it_is_required,
                    a_server_that_is_full_is_quoted_and_not_believed,
                    a_server_that_wants_tls_first_from_a_client_that_waits,
                    a_reconnect_to_a_server_with_a_foreign_certificate,
                    a_discovered_server_that_is_not_trusted,
                }
                tracing_messages {
                    servers_tell_where_a_message_would_go,
                }
                contexts {
                    every_way_to_introduce_oneself_opens_the_door,
                    certificates_are_those_of_the_context,
                    who_has_certificates_says_nothing_in_plain_text,
                    connections_go_through_the_proxy_that_is_named,
                }
                traps {
                    a_lame_duck_lists_the_others_only_and_perhaps_nobody,
                    who_does_not_read_is_thrown_out_without_a_word,
                    websocket_clients_are_told_of_websockets,
                }
                refusals {
                    every_error_that_can_be_provoked_is_known,
                    one_connection_too_many_is_refused_by_name,
                    the_ports_of_other_servers_are_told_from_that_of_clients,
                    one_subscription_too_many_is_an_event_and_the_others_stay,
                    a_line_that_is_too_long_for_the_server_ends_the_connection_by_name,
                    a_bad_subject_in_verbose_and_pedantic_mode_is_an_event,
                }
                nkeys {
                    the_right_key_opens_the_door_every_time,
                    a_wrong_key_is_an_authorization_violation,
                    what_is_no_seed_of_a_user_is_refused_with_the_reason,
                    accounts_do_not_hear_each_other,
                }
                jwts {
                    credentials_may_come_from_a_file_from_memory_and_from_a_callback,
                    a_jwt_of_nobody_known_is_an_authorization_violation,
                    a_bearer_token_needs_no_signature,
                    a_file_that_is_replaced_is_read_again,
                    a_file_that_is_missing_for_a_while_is_looked_for_again,
                    a_file_that_is_missing_at_the_start_is_an_error_at_once,
                    who_expires_while_connected_is_asked_anew,
                    an_account_that_expires_takes_its_users_along,
                    who_is_revoked_is_told_so_and_not_let_in_again,
                    what_the_jwt_does_not_permit_is_refused_by_name,
                    one_connection_too_many_for_the_account_is_refused_by_name,
                    a_long_jwt_needs_a_longer_control_line_on_both_sides,
                }
                callbacks {
                    a_callback_is_asked_on_every_attempt_with_another_nonce,
                    a_callback_without_an_answer_is_dropped_in_time,
                    a_callback_that_fails_says_why,
                    a_callback_that_panics_fails_its_attempt_alone,
                    a_callback_that_fails_for_a_while_is_asked_again,
                    a_callback_under_way_is_dropped_with_its_client,
                    the_same_refusal_twice_ends_the_client,
                    refusals_may_be_ignored_until_the_password_is_right,
                    refusals_by_different_servers_are_not_the_same,
                }
            }
        }
    )*};
}
