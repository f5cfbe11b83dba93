//! Scenarios for every runtime and every server.

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
                    nobody_listening_is_told_also_where_others_hear_the_inbox,
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
