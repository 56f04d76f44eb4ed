//! The program as its users run it, against a real engine over real sockets.
