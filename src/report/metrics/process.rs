//! The metrics `process_…` of this process, by the conventions of Prometheus' client libraries
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). IO: reads /proc/self.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use procfs::WithCurrentSystemInfo as _;
use procfs::process::{LimitValue, Process};

type FloatGauge = Gauge<f64, AtomicU64>;

/// The metrics at this moment; what cannot be read is left out.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("process");
    let Ok(process) = Process::myself() else { return registry };
    let mut add = |name: &'static str, help: &'static str, value: Option<f64>| {
        if let Some(value) = value {
            let gauge = FloatGauge::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
    };
    let stat = process.stat().ok();
    let ticks = procfs::ticks_per_second() as f64;
    add(
        "resident_memory_bytes",
        "Resident memory size in bytes",
        stat.as_ref().map(|stat| stat.rss_bytes().get() as f64),
    );
    add("virtual_memory_bytes", "Virtual memory size in bytes", stat.as_ref().map(|stat| stat.vsize as f64));
    add("threads", "Number of threads", stat.as_ref().map(|stat| stat.num_threads as f64));
    let boot = procfs::boot_time_secs().ok();
    let start = stat.as_ref().zip(boot).map(|(stat, boot)| boot as f64 + stat.starttime as f64 / ticks);
    add("start_time_seconds", "Start time of the process, in seconds since the epoch", start);
    add("open_fds", "Number of open file descriptors", process.fd_count().ok().map(|count| count as f64));
    let limit = process.limits().ok().map(|limits| limits.max_open_files.soft_limit);
    let limit = limit.and_then(|limit| if let LimitValue::Value(value) = limit { Some(value as f64) } else { None });
    add("max_fds", "Largest number of open file descriptors", limit);
    if let Some(stat) = stat {
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by((stat.utime + stat.stime) as f64 / ticks);
        registry.register("cpu_seconds", "Time that the process has run on processors, in seconds", cpu);
    }
    registry
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn the_process_is_described() {
        let mut page = String::new();
        text::encode(&mut page, &registry()).expect("a string takes every write");
        let value = |name: &str| -> f64 {
            let line = page.lines().find_map(|line| line.strip_prefix(&format!("process_{name} ")));
            line.unwrap_or_else(|| panic!("no {name}:\n{page}")).parse().expect("it is a number")
        };
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs_f64();
        let start = value("start_time_seconds");
        assert!(start <= now + 1.0 && start > now - 86_400.0, "{start} {now}");
        assert!(value("resident_memory_bytes") > 1e6 && value("virtual_memory_bytes") > value("resident_memory_bytes"));
        assert!(value("open_fds") >= 3.0 && value("max_fds") > value("open_fds"));
        assert!(value("cpu_seconds_total") >= 0.0 && value("threads") >= 1.0);
    }
}
