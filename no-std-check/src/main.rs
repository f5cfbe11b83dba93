//! A program without std that opens, drives and closes a NATS connection, with the server's bytes in memory.
//!
//! That it builds is the proof: it defines the panic handler and the global allocator, and the panic handler
//! is a *lang item*, of which a program can have only one. If any dependency linked std, which brings its
//! own, the compiler would refuse this program (error E0152). So neither `nats-proto` nor anything below it
//! uses std when default features are off. That it exits with 0 shows that nothing is missing at run time.
//!
//! It links to the C library of the host for `main`, `write` and `exit`; a microcontroller has its own ways.
//! This is the one crate of the project that uses `unsafe`: an allocator, and calls into C, cannot do without.
//! It is never published.

#![no_std]
#![no_main]

extern crate alloc;

mod platform;
mod scenario;

use core::ffi::{c_char, c_int};

/// The entry point, called by the start-up code of the C library.
// SAFETY: no other `main` exists: `no_main` keeps rustc from making one.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    match scenario::run() {
        Ok(()) => {
            platform::print("no-std-check: opened, used and closed a connection without std\n");
            0
        }
        Err(what) => {
            platform::print("no-std-check: ");
            platform::print(what);
            platform::print("\n");
            1
        }
    }
}
