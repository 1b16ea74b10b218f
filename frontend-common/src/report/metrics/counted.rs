//! What the process that serves LVs has counted: latencies as histograms, and errors.

use super::{Facts, Metric, Sample, label};
use crate::counted::{Counted, Latency};

pub(super) fn metrics(facts: &Facts<'_>, counted: &[(String, Counted)]) -> Vec<Metric> {
    let mut latencies = Vec::new();
    let mut requests = Vec::new();
    let mut pvs = Vec::new();
    for (vg, counted) in counted {
        let names = facts.vgs.iter().filter(|of| of.vg.name().as_str() == vg);
        let names: Vec<_> = names.flat_map(|of| of.vg.lvs()).collect();
        for lv in &counted.lvs {
            // The mirror of a move in a VG of LVM2's is none that people know.
            let Some(of) = names.iter().find(|of| of.uuid == lv.lv) else { continue };
            let labels = |op: &str| {
                let (vg, lv) = (label("vg", vg), label("lv", of.name.as_str()));
                format!("{vg},{lv},{}", label("op", op))
            };
            histogram(&labels("read"), &lv.reads, &mut latencies);
            histogram(&labels("write"), &lv.writes, &mut latencies);
            let errors = lv.errors.iter().map(|(op, count)| Sample::new(labels(op), count));
            requests.extend(errors);
        }
        for pv in &counted.pvs {
            let labels = format!(
                "{},{},{},{}",
                label("vg", vg),
                label("pv", &pv.path),
                label("leg", pv.side),
                label("op", pv.op)
            );
            pvs.push(Sample::new(labels, pv.count));
        }
    }
    let metric = |name, help, kind, samples| Metric { name, help, kind, samples };
    vec![
        metric(
            "lvshift_lv_request_seconds",
            "How long lvshift-ublk took to answer the reads and writes of the LV.",
            "histogram",
            latencies,
        ),
        metric(
            "lvshift_lv_request_errors_total",
            "Requests of the LV that lvshift-ublk has answered with an error.",
            "counter",
            requests,
        ),
        metric(
            "lvshift_pv_io_errors_total",
            "I/Os of lvshift-ublk on the PV that have failed, for requests and for copies. leg is what the PV is to the \
             move of the LV.",
            "counter",
            pvs,
        ),
    ]
}

fn histogram(labels: &str, latency: &Latency, into: &mut Vec<Sample>) {
    let bucket = |le: &str, value: u64| Sample {
        suffix: "_bucket",
        labels: format!("{labels},{}", label("le", le)),
        value: value.to_string(),
    };
    into.extend(latency.below.iter().map(|(bound, count)| bucket(&seconds(*bound), *count)));
    into.push(bucket("+Inf", latency.count));
    let rest = [("_sum", seconds(latency.nanoseconds)), ("_count", latency.count.to_string())];
    into.extend(rest.map(|(suffix, value)| Sample { suffix, labels: labels.to_owned(), value }));
}

/// Without the zeroes that say nothing.
fn seconds(nanoseconds: u64) -> String {
    let text = format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
