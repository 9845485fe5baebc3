//! Arguments, exit codes and every error message.
