//! The corpus, without libFuzzer: its files are tried by every build, and written by `bless`.

use std::path::{Path, PathBuf};

use lvshift_core::table::Segment;
use lvshift_on_disk_format::layout::slot as slot_at;
use lvshift_on_disk_format::{Geometry, Label, LabelCopy, dirty_log as log};

use super::TARGETS;
use super::format::uuid;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Valid inputs to start from.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let label = Label::new(uuid(1), Geometry::for_device(1 << 21).expect("large")).expect("named");
    for (copy, name) in LabelCopy::ALL.into_iter().zip(["first", "second"]) {
        let mut bytes = [0; Label::SIZE];
        label.as_copy(copy).encode(&mut bytes);
        // Short inputs are mutated better; the target fills them up with zeros.
        seeds.push(("label", name, bytes[..112].to_vec()));
        seeds.push(("label", if name == "first" { "whole" } else { "whole2" }, bytes.to_vec()));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/tests/golden/slot.bin");
    let slot = std::fs::read(golden).expect("core's golden metadata");
    let size = u32::from_le_bytes(slot[12..16].try_into().expect("four bytes")) as usize;
    let payload = slot[slot_at::HEADER_SIZE..slot_at::HEADER_SIZE + size].to_vec();
    seeds.push(("slot", "short", slot[..slot_at::HEADER_SIZE + 256].to_vec()));
    seeds.push(("slot", "whole", slot.clone()));
    seeds.push(("vg", "moves", payload.clone()));
    seeds.push(("vg", "slot", slot));
    seeds.push(("records", "vg", payload[..256].to_vec()));
    seeds.push(("records", "pv", payload[256..320].to_vec()));
    let lvs = 256 + 4 * 64;
    seeds.push(("records", "lv", payload[lvs..lvs + 192].to_vec()));
    seeds.push(("records", "segment", payload[lvs + 3 * 192..lvs + 3 * 192 + 32].to_vec()));
    seeds.push(("records", "part", payload[size - 64..].to_vec()));
    seeds.push(("payload", "moves", payload));
    let mut image = 500u32.to_le_bytes().to_vec();
    image.extend_from_slice(&log::all_dirty_first_block(500)[..1100]);
    log::set_clean(&mut image[4..], 77, true).expect("it is there");
    seeds.push(("dirty_log", "some", image));
    seeds.push((
        "choose",
        "three",
        vec![0, 2, 0x20, 2, 0x40, 0, 1, 2, 0x20, 2, 0x40, 0, 2, 1, 9, 2, 0x20, 0],
    ));
    for (name, line) in [
        ("linear", "0 8192 linear 254:0 2048"),
        ("mirror", "0 65536 mirror disk 2 254:9 2048 2 254:1 0 8:32 16384 1 handle_errors"),
        ("core", "0 65536 mirror core 2 1024 nosync 2 254:1 0 8:32 16384 2 handle_errors keep_log"),
        ("error", "0 8 error"),
        ("device", "254:12"),
    ] {
        assert!(name == "device" || line.parse::<Segment>().is_ok(), "{line}");
        seeds.push(("dm_table", name, line.into()));
    }
    seeds.push(("dm_status", "copying", b"2 254:0 254:1 3/32 1 AA 3 disk 254:2 A".to_vec()));
    seeds.push(("dm_status", "failed", b"2 254:0 254:1 32/32 1 AD 1 core".to_vec()));
    seeds
}

#[test]
fn the_corpus_has_a_file_for_each_target_and_breaks_none() {
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        for (target, name, bytes) in seeds() {
            std::fs::create_dir_all(corpus(target)).expect("a directory");
            std::fs::write(corpus(target).join(name), bytes).expect("written");
        }
    }
    for (name, run) in TARGETS {
        let files = std::fs::read_dir(corpus(name)).expect("each target has a corpus");
        let mut count = 0;
        for file in files {
            run(&std::fs::read(file.expect("a file").path()).expect("it is read"));
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}

#[test]
fn the_seeds_are_what_the_format_writes_today() {
    for (target, name, bytes) in seeds() {
        let stored = std::fs::read(corpus(target).join(name)).expect("it is in the corpus");
        assert!(stored == bytes, "{target}/{name} differs; LVSHIFT_BLESS=1 rewrites it");
    }
}
