//! Judges nginx configuration as `nginx -t` would, without nginx.

pub mod directives;
