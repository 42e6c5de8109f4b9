//! What the system knows of this process, read whenever metrics are asked for.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::time::{ClockId, clock_gettime};

/// Tells CPU time, memory and open files of this process. What the system doesn't tell is left out.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cpu = ConstCounter::new(cpu_seconds());
        let help = "CPU time that the process has used";
        let kind = cpu.metric_type();
        cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?)?;
        if let Some(bytes) = resident_bytes() {
            let memory = ConstGauge::new(bytes);
            let (help, kind) = ("Memory of the process that lies in RAM", memory.metric_type());
            let name = "process_resident_memory";
            memory.encode(encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?)?;
        }
        if let Some(count) = open_files() {
            let files = ConstGauge::new(count);
            let (help, kind) = ("Files and sockets that the process has open", files.metric_type());
            files.encode(encoder.encode_descriptor("process_open_files", help, None, kind)?)?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    u32::try_from(time.tv_sec).map_or(f64::from(u32::MAX), f64::from) + f64::from(nanos) / 1e9
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"))?;
    kib.trim().parse::<i64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_figures_are_plausible() {
        assert!(cpu_seconds() > 0.0);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(open_files().is_some_and(|count| count >= 3));
    }
}
