//! What hurts people who work on many hosts, each as a test: against a real sshd where it can be made to do it, else
//! against simulated hosts or a bare socket.
//!
//! | fault | test |
//! |---|---|
//! | end of file before the exit status | [`channels::the_end_of_output_is_not_the_end_of_the_command`] |
//! | exit by signal | `session::the_three_ways_to_end_are_told_apart` |
//! | close without status, read as success | `fleet_sim outcomes::a_missing_status_never_counts_as_success` |
//! | 100 channels that nobody drains | [`channels::a_hundred_commands_that_nobody_reads_hold_up_no_other`] |
//! | a stalled reader freezes keepalive and rekeying | [`channels::a_reader_that_stalls_stops_neither_keepalive_nor_rekeying`] |
//! | output of short commands cut by a timeout | [`channels::short_commands_under_a_deadline_give_all_their_output`] |
//! | a server that never answers a channel request | [`channels::a_server_that_answers_no_request_is_given_up_in_time`] |
//! | a server that stops answering | [`channels::a_server_that_stops_answering_is_given_up_in_time`] |
//! | a server that dies while it is sent something | [`channels::a_server_that_dies_while_it_is_sent_input_is_given_up_in_time`], [`channels::a_server_that_dies_while_a_stream_is_written_to_is_given_up_in_time`] |
//! | more hosts than file descriptors | [`controller::more_hosts_than_file_descriptors_are_warned_of`], [`controller::files_ways_and_outputs_stay_within_the_limit_of_open_files`] |
//! | a clock that is set back during a run | [`controller::a_clock_that_is_set_back_changes_no_run`] |
//! | the disk of the report is full | [`controller::a_full_disk_costs_what_was_to_be_on_it_and_nothing_else`], of its own file: `tests/examples/tour.rs` |
//! | the disk of the journal is full | [`controller::a_full_disk_stops_a_run_with_a_journal_that_is_intact`] |
//! | the controller is killed | [`killed`], [`resumed`], [`ended`], [`transfers`], `fleet_sim journal` |
//! | credentials that panic | `fleet_sim panicking` |
//! | nobody reads the events | `fleet output::nobody_needs_to_read_the_events` |
//! | connections dropped by MaxStartups | `fleet connections::a_server_that_drops_connections_under_load_gets_them_again`, `pacing` |
//! | a host that accepts and says nothing | `fleet_sim outcomes::every_outcome_is_told_apart_and_retried_once_healed` |
//! | several addresses, the first of them dead | [`ways::a_dead_first_address_leaves_the_next_one`] |
//! | IPv6 literals | [`ways::an_ipv6_address_is_an_address`] |
//! | a banner of 1 MB | [`ways::a_banner_without_end_is_no_way_in`], [`ways::a_login_banner_of_a_mebibyte`] |
//! | connection lost during an upload | [`ways::a_connection_lost_during_an_upload_leaves_no_half_file`] |
//! | connection lost while a command runs that is to be undone | [`ways::what_a_lost_connection_leaves_running_is_ended_before_it_is_undone`] |
//! | another host key in the middle of a run | [`ways::another_host_key_in_the_middle_of_a_run_ends_the_host`] |
//! | an agent that disappears | [`ways::an_agent_that_disappears_leaves_the_key_files`] |

use std::time::{Duration, Instant};

use clusterops::ssh::ConnectRetries;
use clusterops::{Fleet, SessionOptions, Target};

#[path = "../support/mod.rs"]
mod support;

mod channels;
mod controller;
mod ended;
mod killed;
mod part;
mod relay;
mod resumed;
mod transfers;
mod ways;

/// How long anything that must come about may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> SessionOptions {
    SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
}

fn fleet(targets: impl IntoIterator<Item = Target>) -> Fleet {
    Fleet::new(targets)
        .session(options())
        .connect_retries(ConnectRetries::default().first_pause(Duration::from_millis(50)))
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
