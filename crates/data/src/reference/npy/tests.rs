//! What is read, what is written, and what is refused.

use super::*;
use proptest::prelude::*;

fn file(header: &str, values: &[u8]) -> Vec<u8> {
    let len = (header.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &len, header.as_bytes(), values].concat()
}

#[test]
fn what_numpy_writes_is_read() {
    // np.save(f, np.array([[1, 2, 3]], dtype=np.int32)), byte for byte.
    let text = "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 3), }";
    let numpy = file(
        &format!("{text:<117}\n"),
        &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
    );
    let array = Array {
        shape: vec![1, 3],
        values: Values::I64(vec![1, 2, 3]),
    };
    assert_eq!(parse(&numpy).unwrap(), array);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    write(&path, &[1, 3], "<i4", &numpy[128..]).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), numpy);
}

#[test]
fn every_width_of_whole_numbers_is_read() {
    for (descr, bytes, expected) in [
        ("|u1", &[200][..], 200),
        ("|b1", &[1], 1),
        ("|i1", &[0xff], -1),
        ("<i2", &[0xfe, 0xff], -2),
        ("<u2", &[0xfe, 0xff], 65_534),
        ("<i4", &[0xfe, 0xff, 0xff, 0xff], -2),
        ("<u4", &[0xfe, 0xff, 0xff, 0xff], 4_294_967_294),
        ("<i8", &[0xff; 8], -1),
        ("<u8", &[1, 0, 0, 0, 0, 0, 0, 0], 1),
        ("<u8", &[0xff; 8], i64::MAX),
    ] {
        let head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,)}}");
        let array = parse(&file(&head, bytes)).unwrap_or_else(|fault| panic!("{descr}: {fault}"));
        assert_eq!(array.values.get(0), expected, "{descr}");
    }
}

#[test]
fn what_is_no_array_of_whole_numbers_is_refused() {
    let head = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}")
    };
    let u1 = head("|u1", "(2,)");
    for (bytes, expected) in [
        (b"PK\x03\x04".to_vec(), "not a .npy file"),
        (b"\x93NUMPY\x04\x00".to_vec(), "not a .npy file"),
        (
            b"\x93NUMPY\x01\x00\xff\xff{".to_vec(),
            "it is longer than the file",
        ),
        (
            file(&head("<f4", "(1,)"), &[0; 4]),
            "holds values of type \"<f4\"; expected whole numbers such as '|u1'; save",
        ),
        (
            file(&head("|O", "(1,)"), &[0; 4]),
            "holds values of type \"|O\"",
        ),
        (
            file(&u1, &[0; 3]),
            "holds 3 bytes of values; its shape [2] needs 2",
        ),
        (
            file(&head("<i8", "(99999999999, 99999999999)"), &[]),
            "needs more than any",
        ),
        (
            file(&format!("{:<117}\n", u1.replace("False", "True")), &[0; 2]),
            "(2,)}\" is not understood: fortran_order must be False, values row by row; \
             save np.ascontiguousarray(array)",
        ),
        (
            file(&u1.replace("descr", "fortran_order"), &[0; 2]),
            "fortran_order must be False",
        ),
        (
            file(&u1.replace("fortran_order", "descr"), &[0; 2]),
            "expected one type in quotes",
        ),
        (
            file(&head("|u1", "(-2,)"), &[0; 2]),
            "expected whole numbers in the shape",
        ),
        (
            file(&format!("{} {u1}", "x"), &[0; 2]),
            "expected a dictionary in braces",
        ),
        (
            file("{'descr': '|u1', 'descr': '|u1'}", &[]),
            "a key is there twice",
        ),
        (
            file("{}", &[]),
            "expected the keys descr, fortran_order and shape",
        ),
    ] {
        let error = parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?}, expected {expected:?}");
    }
    let array = parse(&file(&u1, &[3, 7])).unwrap();
    assert_eq!(array.numbers(7).unwrap(), [3, 7]);
    let error = array.numbers(6).unwrap_err().to_string();
    assert_eq!(error, "value 1 is 7; expected 0 to 6");
    assert_eq!(
        array.axes::<2>().unwrap_err().to_string(),
        "has 1 axes; expected 2"
    );
}

proptest! {
    #[test]
    fn arrays_round_trip(values in prop::collection::vec(any::<i64>(), 0..40), bytes: bool) {
        let shape = match values.len() {
            len if len % 2 == 0 => vec![len / 2, 2],
            len => vec![len],
        };
        let small: Vec<u8> = values.iter().map(|&value| value as u8).collect();
        let large: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (descr, written, values) = match bytes {
            true => ("|u1", &small, Values::U8(small.clone())),
            false => ("<i8", &large, Values::I64(values)),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, &shape, descr, written).unwrap();
        prop_assert_eq!(Array::read(&path).unwrap(), Array { shape, values });
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, cut in 0..150_usize, at in 0..150_usize, byte: u8) {
        let _ = parse(&bytes);
        let mut file = header(&[3, 2], "|u1");
        file.extend([0; 6]);
        file.truncate(file.len().min(cut + 10));
        let at = at % file.len();
        file[at] = byte;
        let _ = parse(&file);
    }
}
