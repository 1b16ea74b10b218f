//! LVM2's ids as ours and as device-mapper's.

use lvshift_core::units::Uuid;

/// Letters between the hyphens of an id.
const GROUPS: [usize; 7] = [6, 4, 4, 4, 4, 4, 6];

/// The UUID under which the core knows what LVM2 calls by this id: one that we made is itself, any other is
/// hashed (an id has more bits than a UUID).
#[must_use]
pub fn uuid(id: &str) -> Uuid {
    let plain = plain(id);
    if let Some(bytes) = bytes_in(&plain) {
        return Uuid(bytes);
    }
    let hash = |seed: u64| {
        plain
            .bytes()
            .fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    let mut bytes = [0xFF; 16];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&hash(0xcbf2_9ce4_8422_2325).to_le_bytes());
    low.copy_from_slice(&hash(0x6c62_272e_07bb_0142).to_le_bytes());
    Uuid(bytes)
}

/// An id of LVM2's form for a UUID of ours.
#[must_use]
pub fn id(uuid: Uuid) -> String {
    let digits: String = uuid.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut rest = digits.as_str();
    let mut groups = Vec::new();
    for length in GROUPS {
        let (group, after) = rest.split_at(length.min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups.join("-")
}

/// The UUID of an LV's dm device.
#[must_use]
pub fn dm_uuid(vg_id: &str, lv_id: &str) -> String {
    format!("LVM-{}{}", plain(vg_id), plain(lv_id))
}

/// The name of an LV's dm device: hyphens in names are doubled.
#[must_use]
pub fn dm_name(vg: &str, lv: &str) -> String {
    format!("{}-{}", vg.replace('-', "--"), lv.replace('-', "--"))
}

/// The 16 bytes that 32 digits spell.
fn bytes_in(digits: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn plain(id: &str) -> String {
    id.chars().filter(|c| *c != '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_ours_comes_back_and_others_differ() {
        let ours = Uuid([0x0a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xf5]);
        let text = id(ours);
        assert_eq!(text, "0a0102-0304-0506-0708-090a-0b0c-0d0ef5");
        assert_eq!(uuid(&text), ours);
        let two =
            ["RwpZ2I-Wo1i-dXtv-Ozr0-Ff4C-4a2Q-Kt3aLb", "RwpZ2I-Wo1i-dXtv-Ozr0-Ff4C-4a2Q-Kt3aLc"];
        assert_ne!(uuid(two[0]), uuid(two[1]));
        assert_eq!(dm_uuid("a-b", two[0]), "LVM-abRwpZ2IWo1idXtvOzr0Ff4C4a2QKt3aLb");
        assert_eq!(dm_name("my-vg", "a-b"), "my--vg-a--b");
    }
}
