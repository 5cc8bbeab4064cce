//! The simulator as a client sees it: a plain russh client, and OpenSSH's own where it is installed.

mod client;
mod commands;
mod faults;
mod fleet;
mod openssh;
mod own_client;
mod session;
mod transfer;
