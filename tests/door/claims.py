"""What `deploy/docs/hardening.md` claims, by the beginning of each row, and the tests that hold each claim."""

CLAIMS: dict[str, tuple[str, ...]] = {
    "`login_timeout_s`": ("tests/door/test_floods.py::test_slow_logins_lose_their_place_when_their_time_is_over",),
    "`max_login_failures`": ("tests/sftp/test_login.py::test_after_too_many_keys_the_connection_ends",),
    "`unauthenticated_start`, `unauthenticated_drop_percent`, `unauthenticated_full`": (
        "tests/sftp/test_admission.py::test_one_is_dropped_early_with_a_chance_that_grows_from_the_rate_to_certainty",
    ),
    "the one to go is drawn from all that have not signed in, so that a flood cannot": (
        "tests/door/test_floods.py::test_a_flood_of_a_thousand_connections_from_two_hundred_addresses",
    ),
    "an address that is trusted, or from which a client signed in within 24 hours,": (
        "tests/sftp/test_admission.py::test_of_known_sources_none_has_to_go_while_there_are_strangers",
        "tests/sftp/test_turns.py::test_who_is_known_does_not_wait_behind_strangers",
    ),
    "of strangers 20 connections begin at once, and then 100 a second, one address": (
        "tests/sftp/test_newcomers.py::test_addresses_take_turns_at_the_pace_of_the_house",
    ),
    "`unauthenticated_per_address`": (
        "tests/door/test_limits.py::test_one_more_that_has_not_signed_in_than_an_address_may_have_is_refused",
    ),
    "an IPv6 address counts as its /64, an IPv4 address as itself": (
        "tests/sftp/test_penalties.py::test_ipv6_counts_by_its_64_and_ipv4_is_ipv4_however_it_is_written",
    ),
    "`penalties.failed_keys_s`": ("tests/door/test_floods.py::test_a_flood_of_keys_earns_a_penalty_and_is_over",),
    "`penalties.unknown_user_s`": ("tests/door/test_floods.py::test_a_flood_of_user_names_earns_a_penalty",),
    "`penalties.no_authentication_s`; nothing for up to 5 connections a second of an": (
        "tests/door/test_health_checks.py::test_health_checks_of_several_balancers_earn_no_penalty",
        "tests/door/test_floods.py::test_a_flood_that_goes_on_and_on",
    ),
    "`penalties.login_timeout_s`": (
        "tests/door/test_floods.py::test_slow_logins_lose_their_place_when_their_time_is_over",
    ),
    "work is done in turns; before the login 128 KiB, 200 packets and one key": (
        "tests/door/test_excess.py::test_a_stranger_that_sends_too_much_is_disconnected_and_refused",
        "tests/door/test_excess.py::test_a_client_that_sends_packets_without_work_is_disconnected_and_refused",
    ),
    "`penalties.min_s`, `penalties.max_s`": (
        "tests/sftp/test_penalties.py::test_an_address_is_refused_once_its_offences_have_added_up_to_the_least",
        "tests/sftp/test_penalties.py::test_no_more_adds_up_than_the_most",
    ),
    "`penalties.max_sources`; who offended longest ago is forgotten": (
        "tests/sftp/test_penalties.py::test_the_table_is_bounded_and_forgets_who_offended_longest_ago",
    ),
    "`trusted_addresses`: seen in `ctsftp penalty list`, never refused": (
        "tests/door/test_limits.py::test_a_trusted_proxy_has_no_limits_of_its_own",
    ),
    "`ctsftp penalty list`, `ctsftp penalty clear`": (
        "tests/door/test_citizen.py::test_an_admin_sees_the_penalties_and_forgives_them",
    ),
    "`max_connections`": ("tests/door/test_limits.py::test_one_connection_more_than_in_all_is_refused",),
    "`max_connections_per_address`": (
        "tests/door/test_limits.py::test_one_connection_more_than_an_address_may_have_is_refused",
    ),
    "`max_connections_per_client`": (
        "tests/door/test_floods.py::test_connections_of_one_client_leave_room_for_the_others",
    ),
    "a channel whose peer takes packets below 4 KiB, or that sends before it asked": (
        "tests/door/test_excess.py::test_a_channel_of_small_packets_is_refused",
        "tests/door/test_excess.py::test_data_before_the_subsystem_ends_the_connection",
    ),
    "`max_channels`": ("tests/sftp/test_limits.py::test_a_connection_has_so_many_channels",),
    "`keepalive_interval_s`, `keepalive_count_max`; whatever a peer sends takes the": (
        "tests/door/test_limits.py::test_a_live_peer_that_answers_no_keepalive_stays",
        "tests/door/test_limits.py::test_a_peer_that_answers_no_keepalive_is_gone",
    ),
    "`idle_timeout_s`; an answer to a keepalive is no request": (
        "tests/door/test_limits.py::test_a_connection_that_asks_for_nothing_is_ended",
        "tests/door/test_limits.py::test_keepalives_are_no_requests",
    ),
    "`idle_timeout_s`": ("tests/door/test_limits.py::test_a_connection_that_asks_for_nothing_is_ended",),
    "`upload_stall_timeout_s`": ("tests/door/test_limits.py::test_an_upload_that_receives_nothing_is_cut_off",),
    "`rekey_bytes` (that the server sent; a sender counts its own),": (
        "tests/door/test_keys.py::test_session_keys_are_renewed_while_a_file_is_on_its_way",
    ),
    "a key exchange after the login takes at most 30 s, and nothing is answered": (
        "tests/door/test_excess.py::test_a_key_exchange_that_does_not_end_costs_no_memory_and_ends_the_connection",
    ),
    "`max_open_handles`": ("tests/sftp/test_limits.py::test_a_session_has_so_many_handles_files_and_folders_together",),
    "`max_packet_bytes`, `max_read_bytes`": (
        "tests/door/test_tricks.py::test_a_request_larger_than_the_limit_ends_its_session_alone",
        "tests/sftp/test_limits.py::test_a_read_is_answered_with_no_more_than_the_limit",
    ),
    "`max_path_bytes`, `max_path_depth`": (
        "tests/door/test_tricks.py::test_the_length_and_the_depth_of_a_path_have_their_edge",
    ),
    "`quota_bytes`, `quota_files`, with what the database holds of the client's": (
        "tests/door/test_limits.py::test_a_quota_is_kept_while_writing_and_what_was_acknowledged_stays",
        "tests/door/test_limits.py::test_each_list_that_a_rename_makes_of_the_same_bytes_counts",
        "tests/door/test_limits.py::test_the_number_of_files_and_folders_has_its_edge",
    ),
    "`free_floor_percent`, `free_floor_bytes`, `free_floor_files`: the smaller; for": (
        "tests/door/test_limits.py::test_uploads_leave_a_tenth_of_the_disk_free",
        "tests/door/test_limits.py::test_uploads_and_folders_leave_files_of_the_disk_free",
    ),
    "`CTSFTP_SPOOL__RESERVE_BYTES`: given back when the disk is full, so that the": (
        "tests/spool/test_reserve.py::test_it_is_given_back_when_the_disk_is_full_and_taken_again_when_there_is_plenty",
    ),
    "`receipts_shown`, `receipt_wait_s`: what a look at `/receipts` may cost": (
        "tests/app/test_receipts.py::test_a_listing_has_its_limit_and_a_name_finds_what_is_beyond_it",
        "tests/app/test_receipts.py::test_a_load_that_takes_longer_is_said_to_be_running",
    ),
    "`proxy_addresses`, `proxy_header_timeout_s`": (
        "tests/sftp/test_proxy.py::test_the_sender_and_not_the_balancer_counts",
        "tests/sftp/test_proxy.py::test_a_line_of_version_1_is_believed_from_a_trusted_network_alone",
        "tests/sftp/test_proxy.py::test_a_header_has_a_deadline_of_its_own",
    ),
    "a client has one turn among the others with all its connections, and 32": (
        "tests/sftp/test_turns.py::test_a_client_with_many_connections_gets_no_more_turns_than_one_with_one",
        "tests/sftp/test_fairness.py::test_in_a_turn_of_the_event_loop_all_sessions_of_a_client_have_so_many_answers",
    ),
    "`max_threads_per_client`, `max_view_bytes_per_client`: what one client may take": (
        "tests/sftp/test_limits.py::test_a_client_that_waits_for_the_disk_leaves_threads_to_the_others",
        "tests/sftp/test_limits.py::test_open_listings_of_a_client_take_so_much_memory_together",
    ),
    "`verdict_wait_s`: how long a CLOSE waits to hear what becomes of its file; it": (
        "tests/sftp/test_answers.py::test_an_answer_that_does_not_come_in_time_is_ok",
        "tests/sftp/test_answers.py::test_a_close_that_waits_holds_up_no_other_session_whatever_their_number",
    ),
    "`max_file_size_bytes`": (
        "tests/sftp/test_limits.py::test_a_file_larger_than_the_limit_is_refused_while_it_is_written",
    ),
    "`sync_every_bytes`: of a file, about what its CLOSE may have left to fsync": (
        "tests/sftp/test_files.py::test_what_was_written_is_synced_while_more_arrives",
    ),
    "SFTP is all there is: no shell, no command, no terminal, no SCP": (
        "tests/sftp/test_login.py::test_there_is_no_shell_no_command_and_no_terminal_but_a_word_on_what_there_is",
        "tests/sftp/test_login.py::test_there_is_no_scp",
    ),
    "nothing is forwarded": ("tests/sftp/test_login.py::test_there_is_no_forwarding",),
    "paths are resolved in the home, without following links": (
        "tests/door/test_tricks.py::test_no_path_leads_out_of_the_home_and_no_name_is_beyond_reason",
    ),
    "variables are not kept": ("tests/sftp/test_limits.py::test_variables_that_a_client_sets_are_not_kept",),
    "keys are the only way in": ("tests/sftp/test_login.py::test_a_key_is_the_only_way_in_for_everybody",),
    "a client is a folder; what everybody may write is not believed": (
        "tests/sftp/test_login.py::test_a_stranger_an_unknown_user_and_a_disabled_client_are_refused_alike",
    ),
    "RSA keys of 2,048 bits or more": (
        "tests/clients/test_authorized_keys.py::test_a_key_that_is_too_weak_grants_nothing",
    ),
    "SHA-1 signatures only from a client whose client.toml allows it; each such": (
        "tests/sftp/test_login.py::test_a_sha1_signature_is_refused",
        "tests/sftp/test_login.py::test_a_sha1_signature_is_allowed_to_a_client_that_may_and_logged",
    ),
    "a revoked key's sessions end, and so does a login that has begun": (
        "tests/sftp/test_login.py::test_who_may_sign_in_no_more_is_disconnected_at_the_recheck",
        "tests/door/test_keys.py::test_a_login_that_has_begun_ends_without_the_key_that_is_gone",
    ),
    "enforced; what a line says and is not understood takes it away; an expiry is": (
        "tests/clients/test_authorized_keys.py::test_an_option_that_is_not_understood_takes_the_whole_line_away",
        "tests/door/test_keys.py::test_a_login_with_a_key_that_expires_soon_warns_the_admin",
    ),
    "refused as by OpenSSH 9.6": ("tests/door/test_tricks.py::test_a_packet_injected_into_the_handshake_ends_it",),
    "below; `extra_kex`": (
        "tests/door/test_algorithms.py::test_the_group_exchange_is_spoken_where_it_is_switched_on",
        "tests/door/test_citizen.py::test_ssh_audit_finds_what_the_policy_says_and_nothing_else",
        "tests/door/test_algorithms.py::test_what_is_weak_slow_or_compressed_is_not_spoken",
    ),
    "no name forges a line of the log": ("tests/door/test_tricks.py::test_no_name_forges_a_line_of_the_log",),
    "one warning, then sums: what the peer offered, and what would help; `ctsftp": (
        "tests/door/test_negotiation.py::test_a_failed_negotiation_is_told_with_what_would_help",
    ),
    "limits, host keys, and who may stay signed in; the log says what waits for the": (
        "tests/door/test_citizen.py::test_sighup_takes_over_limits_and_host_keys_and_tells_what_waits_for_a_start",
    ),
    "running uploads get `drain_timeout_s` (120 s); a second signal cuts them off": (
        "tests/sftp/asyncssh_seam/test_seam.py::test_a_stop_lets_an_open_upload_finish_and_takes_no_new_one",
        "tests/door/test_citizen.py::test_a_second_signal_cuts_off_what_the_first_waits_for",
    ),
    "start, reload, stop and watchdog": (
        "tests/door/test_citizen.py::test_the_supervisor_hears_of_the_start_each_beat_a_reload_and_the_stop",
    ),
}
