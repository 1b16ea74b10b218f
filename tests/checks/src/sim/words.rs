//! What is done to a disk, in words, for the trace of a run.

use lvshift_ublk::platform::sim::IoOp;

/// An entry of a ring in words.
pub(super) fn describe(op: &IoOp, data_start: u64) -> String {
    let place = |offset: u64| {
        let sector = offset / 512;
        if sector >= data_start {
            format!("data sector {}", sector - data_start)
        } else {
            format!("sector {sector}")
        }
    };
    match op {
        IoOp::Read { offset, into } => format!("read {} at {}", into.len() / 512, place(*offset)),
        IoOp::Write { offset, data, durable } => {
            let values: Vec<String> = data
                .chunks(512)
                .take(16)
                .map(|sector| {
                    let mut number = [0; 8];
                    number.copy_from_slice(&sector[..8]);
                    format!("{:x}", u64::from_le_bytes(number))
                })
                .collect();
            let fua = if *durable { " FUA" } else { "" };
            format!("write{fua} {} at {}: {}", data.len() / 512, place(*offset), values.join(" "))
        }
        IoOp::Flush => "flush".to_owned(),
        IoOp::Zero { offset, len, .. } => format!("zero {} at {}", len / 512, place(*offset)),
        IoOp::Discard { offset, len } => format!("discard {} at {}", len / 512, place(*offset)),
        IoOp::Fetch { .. } | IoOp::Wake => "nothing".to_owned(),
    }
}
