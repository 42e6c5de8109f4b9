//! HTTP/1.1 servers: connections in, and an end that loses no request.
//!
//! HTTP/1.1 has no way to tell a client that an idle connection is about to be closed: a request that is sent at that
//! moment is lost. So a server that stops closes connections in an order that leaves that moment as short as it can be
//! ([`Stop`], [`serve_connection`]):
//!
//! 1. From the first moment on, each answer says `Connection: close` and is the last one on its connection. During the
//!    delay for load balancers nothing else changes: connections are accepted and requests served.
//! 2. The listener is closed, after every connection that the system has already established was taken over
//!    ([`Acceptor::close`]).
//! 3. A connection that has been idle for a moment, and on which no byte lies unread, is closed. One that was in use a
//!    moment ago is likely to bring another request, which is served and answered with `Connection: close`.
//! 4. A request of which only a part has arrived gets a moment for the rest, and is then refused in words.
//! 5. What is closed after an answer is closed for writing first and read to its end: closing a socket with unread
//!    bytes makes the system reset the connection, and the client may lose the answer.
//!
//! Both servers phrase their errors themselves. Where hyper would answer a malformed request with a bare status, its
//! bytes are dropped and the server is asked for an answer to a [`BareRequest`].

mod accept;
mod answer;
mod connection;
mod exchange;
mod failures;
mod stop;

pub use accept::Acceptor;
pub use answer::{BareRequest, send_and_close};
pub use connection::{ConnectionSettings, serve_connection};
pub use stop::{Open, Stage, Stop};
