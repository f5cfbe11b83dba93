//! What every client must do on every server: written once, run on each runtime with each kind of server.
//!
//! A scenario is an async function over [`support::Env`]. It is listed here once and becomes one test for each
//! combination, `tokio_2_15::requests::nobody_listening_is_told_apart_from_a_timeout` and so on. The modules are
//! private so that the compiler complains of a scenario that is not listed.

mod authentication;
mod callbacks;
mod cancellation;
mod cancelling;
mod concurrency;
mod confirming;
mod connecting;
mod contexts;
mod cutting;
mod delivery;
mod dialling;
mod draining;
mod dropping;
mod events;
mod failover;
mod faulty_network;
mod flushing;
mod headers;
mod hostile;
mod interfaces;
mod jwts;
mod many_subscriptions;
mod nkeys;
mod offline;
mod payloads;
mod permissions;
mod played;
mod public_futures;
mod publishing;
mod queue_groups;
mod reconnecting;
mod refusals;
mod request_many;
mod requests;
mod secrets;
mod server_pool;
mod slow_consumers;
mod stale;
mod support;
mod tls;
mod tls_network;
mod tls_refusals;
mod tracing_messages;
mod traps;
mod unsubscribing;
mod websocket;
mod wildcards;

use nats_async_std::AsyncStd;
use nats_tests::server::{Host, Release, ServerKind};
use nats_tokio::Tokio;

macro_rules! stamp {
    ($runtime:ty, $server:expr; $($area:ident { $($scenario:ident,)* })*) => {
        $(mod $area {
            use super::*;

            $(#[test]
            fn $scenario() {
                crate::support::run::<$runtime, _, _>($server, crate::$area::$scenario);
            })*
        })*
    };
}

/// Scenarios for every runtime and every server.
macro_rules! on_every_server {
    ($($combination:ident: $runtime:ty, $server:expr;)*) => {$(
        mod $combination {
            use super::*;

            stamp! { $runtime, $server;
                publishing {
                    a_message_reaches_a_subscriber_with_all_its_parts,
                    messages_of_one_publisher_keep_their_order,
                    every_subscription_gets_its_own_copy,
                    clients_of_both_runtimes_meet_on_one_server,
                    ones_own_messages_come_back_unless_no_echo_is_set,
                    what_is_no_subject_is_refused_and_the_connection_stays,
                }
                wildcards {
                    patterns_match_as_the_server_matches_them,
                    overlapping_subscriptions_each_get_the_message,
                }
                queue_groups {
                    each_message_goes_to_one_member_and_every_member_gets_some,
                    groups_and_plain_subscriptions_do_not_share,
                    who_leaves_a_group_leaves_the_messages_to_the_others,
                    a_name_with_spaces_is_refused,
                }
                headers {
                    repeated_names_keep_all_values_in_order,
                    case_is_kept_and_significant,
                    headers_travel_with_an_empty_payload_and_with_a_reply,
                    values_may_have_colons_and_any_unicode,
                    headers_that_cannot_be_read_spoil_nothing_else,
                }
                unsubscribing {
                    after_unsubscribe_nothing_comes_but_what_had_come,
                    a_limit_is_kept_exactly,
                    messages_before_the_limit_was_set_count,
                    a_limit_is_kept_over_a_reconnect,
                    a_dropped_subscriber_is_no_longer_known_to_the_server,
                }
                requests {
                    a_reply_comes_back,
                    headers_go_both_ways,
                    nobody_listening_is_told_apart_from_a_timeout,
                    a_request_may_bring_its_own_inbox_and_timeout,
                    a_dropped_request_leaves_nothing_behind,
                    hundreds_of_answers_find_their_requests_in_any_order,
                    a_custom_inbox_prefix_is_used_for_everything,
                    a_request_made_while_disconnected_is_sent_afterwards,
                    a_request_to_what_is_no_subject_is_refused,
                }
                request_many {
                    replies_end_with_their_number,
                    replies_end_with_a_sentinel,
                    replies_end_when_none_comes_for_a_while,
                    replies_end_with_their_time,
                    nobody_listening_ends_the_replies,
                    replies_end_with_the_client,
                }
                confirming {
                    what_others_publish_afterwards_comes,
                    a_reconnect_makes_it_ask_again,
                    without_a_server_it_ends_in_time,
                    a_dropped_wait_unsubscribes,
                }
                flushing {
                    after_a_flush_the_server_has_everything,
                    a_flush_confirms_every_publish,
                    the_first_flush_needs_no_publish,
                    a_closed_client_cannot_flush,
                    the_time_of_a_round_trip_is_measured,
                }
                draining {
                    a_drained_subscription_gets_what_was_under_way_and_ends,
                    a_drained_client_delivers_in_both_directions_and_closes,
                    a_queue_group_loses_nothing_when_a_member_drains,
                    a_drain_that_ends_in_time_leaves_nothing,
                    a_request_that_waits_gets_its_reply_before_the_end,
                    a_drain_that_ends_at_its_deadline_says_what_was_left,
                    a_close_sends_what_is_buffered,
                    a_close_reports_what_could_not_be_sent,
                    a_closed_client_refuses_everything,
                }
                payloads {
                    every_size_up_to_the_limit_arrives_whole,
                    one_byte_more_is_refused_and_the_connection_stays,
                    headers_count_towards_the_limit,
                    the_limit_is_the_servers,
                }
                authentication {
                    user_and_password_open_the_door,
                    a_token_opens_the_door,
                    wrong_credentials_are_an_authorization_violation,
                    missing_credentials_are_an_authorization_violation,
                    credentials_are_sent_again_on_a_reconnect,
                }
                connecting {
                    a_client_knows_its_server,
                    an_address_needs_no_scheme,
                    a_server_that_starts_later_is_found,
                    a_server_that_is_not_there_is_named_in_the_error,
                }
                dialling {
                    addresses_of_the_other_family_are_not_tried_from_a_local_one,
                    a_dialler_of_ones_own_opens_every_connection,
                }
                reconnecting {
                    subscriptions_survive_a_restart,
                    queue_groups_survive_a_restart,
                    publishes_made_while_disconnected_arrive_in_order,
                    a_forced_reconnect_loses_no_subscription,
                    a_full_buffer_gives_the_payload_back,
                    a_publisher_that_waits_for_room_goes_on_after_the_reconnect,
                    the_oldest_make_room_if_so_chosen,
                    attempts_end_at_their_maximum,
                    a_lame_duck_is_announced,
                }
                server_pool {
                    the_pool_tells_what_became_of_each_server,
                    a_new_pool_moves_the_client_when_it_reconnects,
                    the_application_chooses_the_next_server,
                    a_choice_outside_of_the_pool_is_told_and_passed_over,
                }
                delivery {
                    the_account_adds_up_over_restarts_under_load,
                    what_is_confirmed_was_received_over_forced_reconnects_under_load,
                    what_is_cut_in_the_middle_arrives_whole_or_not_at_all,
                }
                failover {
                    the_other_server_of_a_list_takes_over,
                    a_discovered_server_takes_over,
                    discovered_servers_can_be_ignored,
                    a_server_that_is_going_to_shut_down_is_left_in_time,
                }
                faulty_network {
                    the_books_add_up_over_links_cut_under_load,
                    a_direction_that_stalls_is_found_stale,
                    a_pause_shorter_than_the_keepalive_breaks_nothing,
                    a_drip_is_enough,
                    a_byte_spoiled_by_the_network_ends_the_link_by_name,
                    a_direction_that_ends_is_the_end_of_the_link,
                    a_partition_is_outlived,
                    links_cut_within_the_handshake_come_back,
                    refused_links_are_tried_again,
                }
                slow_consumers {
                    a_subscriber_that_never_reads_loses_alone,
                    bytes_are_limited_as_messages_are,
                    limits_can_be_set_for_each_subscription,
                    the_oldest_make_room_if_so_chosen,
                    every_episode_has_a_beginning_and_an_end,
                    the_connection_waits_if_so_chosen,
                    who_is_waited_for_can_leave,
                }
                many_subscriptions {
                    ten_thousand_get_their_messages_also_after_a_restart,
                }
                events {
                    the_life_of_a_connection_is_told_in_order,
                    every_stream_of_events_sees_what_happens_to_the_end,
                    notices_tell_more_than_events,
                    a_callback_that_waits_delays_nothing,
                    a_callback_that_panics_harms_nobody_else,
                }
                concurrency {
                    threads_without_a_runtime_publish_at_once,
                    threads_that_take_turns_lose_nothing,
                    all_of_fifty_clients_come_back,
                    every_request_ends_when_the_server_restarts,
                }
                cancellation {
                    a_publish_dropped_while_it_waits_is_not_sent,
                    a_dropped_flush_confirms_all_the_same,
                    a_message_is_not_lost_with_the_future_that_waited_for_it,
                    a_dropped_connect_gives_up,
                    a_close_and_a_drain_go_on_when_dropped,
                }
                cancelling {
                    a_future_may_be_dropped_after_any_poll,
                }
                dropping {
                    clients_and_subscribers_may_outlive_their_runtime,
                    futures_may_be_dropped_on_another_thread_after_the_runtime,
                    what_is_buffered_goes_out_when_the_last_handle_is_dropped,
                    a_subscriber_keeps_the_connection_without_its_client,
                }
                interfaces {
                    a_client_is_a_sink,
                    a_sink_waits_for_room,
                    code_can_be_generic_over_what_a_client_does,
                }
            }
        }
    )*};
}

on_every_server! {
    tokio_2_15: Tokio, ServerKind::Real(Release::V2_15);
    tokio_2_10: Tokio, ServerKind::Real(Release::V2_10);
    tokio_broker: Tokio, ServerKind::Broker(Host::Tokio);
    async_std_2_15: AsyncStd, ServerKind::Real(Release::V2_15);
    async_std_2_10: AsyncStd, ServerKind::Real(Release::V2_10);
    async_std_broker: AsyncStd, ServerKind::Broker(Host::AsyncStd);
}

/// Scenarios for real servers alone: the embedded broker has no permissions, and cannot be frozen without
/// freezing the test.
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
                websocket {
                    messages_and_requests_go_both_ways,
                    large_payloads_arrive_whole,
                    a_reconnect_goes_through_the_websocket_again,
                    pings_of_the_protocol_and_many_small_messages_pass,
                    a_server_that_stops_says_so_in_its_close_frame,
                }
                permissions {
                    a_refused_subscription_ends_and_says_why,
                    a_refused_publish_is_an_event,
                    a_refusal_finds_its_subscription_whatever_it_is_called,
                    a_subscription_that_waits_is_told_of_its_refusal,
                    one_subscription_too_many_is_told_so,
                    a_new_configuration_ends_what_it_forbids,
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
                    a_server_without_tls_if_it_is_required,
                    a_server_that_is_full_is_quoted_and_not_believed,
                    a_server_that_wants_tls_first_from_a_client_that_waits,
                    a_reconnect_to_a_server_with_a_foreign_certificate,
                }
                tracing_messages {
                    servers_tell_where_a_message_would_go,
                }
                contexts {
                    every_way_to_introduce_oneself_opens_the_door,
                    certificates_are_those_of_the_context,
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

on_every_process! {
    tokio_process_2_15: Tokio, Release::V2_15;
    tokio_process_2_10: Tokio, Release::V2_10;
    async_std_process_2_15: AsyncStd, Release::V2_15;
    async_std_process_2_10: AsyncStd, Release::V2_10;
}

/// Scenarios in which the server is nobody, or the test itself: its kind makes no difference.
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

without_a_server! {
    tokio_offline: Tokio;
    async_std_offline: AsyncStd;
}
