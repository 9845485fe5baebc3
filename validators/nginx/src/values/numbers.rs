//! Numbers, sizes and times, as nginx reads them (`src/core/ngx_string.c`, `src/core/ngx_parse.c`).

/// A number of decimal digits and nothing else: `ngx_atoi()`.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// A number with at most `point` digits after a dot, times ten to the power of `point`: `ngx_atofp()`.
pub(crate) fn fixed_point(text: &[u8], mut point: u32) -> Option<i64> {
    let mut value = 0_i64;
    let mut dot = false;
    if text.is_empty() {
        return None;
    }
    for byte in text {
        match byte {
            _ if point == 0 => return None,
            b'.' if dot => return None,
            b'.' => dot = true,
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
                point -= u32::from(dot);
            }
            _ => return None,
        }
    }
    value.checked_mul(10_i64.checked_pow(point)?)
}

/// A hexadecimal number: `ngx_hextoi()`.
pub(crate) fn hexadecimal(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i64, |value, byte| {
        let digit = (*byte as char).to_digit(16)?;
        value.checked_mul(16)?.checked_add(i64::from(digit))
    })
}

/// A number of bytes, `k` or `m`: `ngx_parse_size()`.
pub(crate) fn size(text: &[u8]) -> Option<i64> {
    scaled(text, &[(b'k', 1 << 10), (b'm', 1 << 20)])
}

/// A number of bytes, `k`, `m` or `g`: `ngx_parse_offset()`.
pub(crate) fn offset(text: &[u8]) -> Option<i64> {
    scaled(text, &[(b'k', 1 << 10), (b'm', 1 << 20), (b'g', 1 << 30)])
}

fn scaled(text: &[u8], units: &[(u8, i64)]) -> Option<i64> {
    let (last, rest) = text.split_last()?;
    match units.iter().find(|(unit, _)| *unit == last.to_ascii_lowercase()) {
        Some((_, scale)) => number(rest)?.checked_mul(*scale),
        None => number(text),
    }
}

/// A time in milliseconds: `ngx_parse_time(…, 0)`.
pub(crate) fn milliseconds(text: &[u8]) -> Option<i64> {
    time(text, false)
}

/// A time in seconds: `ngx_parse_time(…, 1)`.
pub(crate) fn seconds(text: &[u8]) -> Option<i64> {
    time(text, true)
}

/// The units of time from the longest, which must come first; a bare number counts seconds and must be the last.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum TimeUnit {
    Start,
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Last,
}

fn time(text: &[u8], in_seconds: bool) -> Option<i64> {
    const DAY: i64 = 60 * 60 * 24;
    let (mut value, mut total, mut valid) = (0_i64, 0_i64, false);
    let mut step = if in_seconds { TimeUnit::Start } else { TimeUnit::Month };
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if byte.is_ascii_digit() {
            value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            valid = true;
            continue;
        }
        let milli = *byte == b'm' && bytes.next_if(|next| **next == b's').is_some();
        let (next, allowed, mut scale) = match byte {
            b'm' if milli => (TimeUnit::Millisecond, !in_seconds && step < TimeUnit::Millisecond, 1),
            b'y' => (TimeUnit::Year, step <= TimeUnit::Start, DAY * 365),
            b'M' => (TimeUnit::Month, step < TimeUnit::Month, DAY * 30),
            b'w' => (TimeUnit::Week, step < TimeUnit::Week, DAY * 7),
            b'd' => (TimeUnit::Day, step < TimeUnit::Day, DAY),
            b'h' => (TimeUnit::Hour, step < TimeUnit::Hour, 60 * 60),
            b'm' => (TimeUnit::Minute, step < TimeUnit::Minute, 60),
            b's' => (TimeUnit::Second, step < TimeUnit::Second, 1),
            b' ' => (TimeUnit::Last, step < TimeUnit::Second, 1),
            _ => return None,
        };
        if !allowed {
            return None;
        }
        step = next;
        if step != TimeUnit::Millisecond && !in_seconds {
            scale *= 1000;
        }
        total = total.checked_add(value.checked_mul(scale)?)?;
        value = 0;
        while bytes.next_if(|next| **next == b' ').is_some() {}
    }
    let rest = if in_seconds { value } else { value.checked_mul(1000)? };
    if valid { total.checked_add(rest) } else { None }
}

/// The text as a C string: nothing after a NUL byte counts.
pub(crate) fn c_string(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    &text[..end]
}
