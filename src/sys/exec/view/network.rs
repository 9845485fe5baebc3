//! The loopback interface of a network namespace that was just made, where it is down.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// RTM_NEWLINK, with the flags NLM_F_REQUEST and NLM_F_ACK (rtnetlink(7), netlink(7)).
const NEW_LINK: (u16, u16) = (16, 1 | 4);
/// In every network namespace the loopback interface is the first.
const LOOPBACK: i32 = 1;
/// IFF_UP (netdevice(7)).
const UP: u32 = 1;

/// Raises it, and gives it its addresses by that.
pub(super) fn raise_loopback() -> io::Result<()> {
    // NETLINK_ROUTE is the protocol 0, which is the default.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    // The answer is a header of 16 bytes and the negative error number, which is 0 if there was none.
    let mut answer = [0; 64];
    rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// `struct nlmsghdr` and `struct ifinfomsg`, 16 bytes each.
fn request() -> Vec<u8> {
    let (kind, flags) = NEW_LINK;
    let mut request = 32_u32.to_ne_bytes().to_vec();
    request.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
    // Its number, and the sender.
    request.extend([0; 8]);
    // Of any family and type.
    request.extend([0; 4]);
    request.extend(LOOPBACK.to_ne_bytes());
    request.extend([UP.to_ne_bytes(), UP.to_ne_bytes()].concat());
    request
}
