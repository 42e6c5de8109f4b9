//! The protocol in small scopes, every order of events.

mod broken;
mod explore;
mod large;
mod one_trip;
mod quick;
