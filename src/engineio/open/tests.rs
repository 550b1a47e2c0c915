//! Open packets in every form, as servers write them.

use proptest::prelude::*;

use super::*;

const OBJECT: &str = r#"{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const TAG: &str = ".abcdefgh";

/// How a server may write an answer whose first packet is `0` and `object`.
#[derive(Clone, Copy, Debug)]
enum Writing {
    Plain(Form),
    Jsonp(Form),
}

const WRITINGS: [Writing; 5] = [
    Writing::Plain(Form::V4),
    Writing::Plain(Form::V3Text),
    Writing::Plain(Form::V3Binary),
    Writing::Jsonp(Form::V4),
    Writing::Jsonp(Form::V3Text),
];

impl Writing {
    /// The answer, as servers write it; `behind` is what stands behind the packet.
    fn write(self, object: &str, behind: &str) -> Vec<u8> {
        let (Self::Plain(form) | Self::Jsonp(form)) = self;
        let packet = format!("0{object}");
        let payload = match form {
            Form::V4 => format!("{packet}{behind}").into_bytes(),
            Form::V3Text => {
                format!("{}:{packet}{behind}", packet.encode_utf16().count()).into_bytes()
            }
            Form::V3Binary => {
                let digits = packet.len().to_string().into_bytes();
                let mut payload = vec![0];
                payload.extend(digits.iter().map(|digit| digit - b'0'));
                payload.push(0xff);
                payload.extend(packet.bytes().chain(behind.bytes()));
                payload
            }
        };
        match self {
            Self::Plain(_) => payload,
            Self::Jsonp(_) => {
                let payload = String::from_utf8(payload).expect("text");
                let string = serde_json::to_string(&payload).expect("JSON");
                format!("___eio[7]({});", string.replace('\u{2028}', "\\u2028")).into_bytes()
            }
        }
    }

    fn form(self) -> Form {
        let (Self::Plain(form) | Self::Jsonp(form)) = self;
        form
    }
}

fn open(head: &[u8]) -> OpenPacket {
    match OpenPacket::scan(head) {
        Scan::Open(open) => open,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(head)),
    }
}

#[test]
fn an_open_packet_is_found_as_soon_as_it_is_whole() {
    for writing in WRITINGS {
        let alone = writing.write(OBJECT, "");
        for behind in ["", "\u{1e}4hello \u{1e}bAQID", "2:40"] {
            let body = writing.write(OBJECT, behind);
            let found = open(&body);
            assert_eq!(found.sid.as_str(), "lv_VI97HAXpY6yYWAAAC");
            assert_eq!(found.timings, Some(Timings::from_millis(25_000, 20_000, 1_000_000)));
            assert_eq!(found.form, writing.form());

            let ends =
                (0..=body.len()).find(|end| OpenPacket::scan(&body[..*end]) != Scan::NeedMore);
            let tail = if matches!(writing, Writing::Jsonp(_)) { "\");".len() } else { 0 };
            assert_eq!(ends, Some(alone.len() - tail), "{writing:?}");
            for end in alone.len() - tail..body.len() {
                assert_eq!(open(&body[..end]), found);
            }
        }
    }
}

#[test]
fn a_tag_goes_behind_the_sid_and_raises_the_length() {
    let check = |head: &[u8], expected: &[u8]| {
        let tagged = open(head).with_tag(head, TAG);
        assert_eq!(String::from_utf8_lossy(&tagged), String::from_utf8_lossy(expected));
        assert_eq!(tagged, expected);
    };
    check(br#"0{"sid":"ABC"}"#, br#"0{"sid":"ABC.abcdefgh"}"#);
    check(br#"0{"x":[1],"sid":"A\"B"} 4"#, br#"0{"x":[1],"sid":"A\"B.abcdefgh"} 4"#);
    check(br#"14:0{"sid":"ABC"}2:40"#, br#"23:0{"sid":"ABC.abcdefgh"}2:40"#);
    check(
        br#"99:0{"sid":"ABCDDDD","upgrades":["websocket","webtransport"],"pingInterval":25000,"pingTimeout":20000}"#,
        br#"108:0{"sid":"ABCDDDD.abcdefgh","upgrades":["websocket","webtransport"],"pingInterval":25000,"pingTimeout":20000}"#,
    );
    check("14:0{\"sid\":\"é😀\"}".as_bytes(), "23:0{\"sid\":\"é😀.abcdefgh\"}".as_bytes());
    check(
        b"\x00\x01\x04\xff0{\"sid\":\"ABC\"}\x01\x04\xff\x04\x01\x02\x03",
        b"\x00\x02\x03\xff0{\"sid\":\"ABC.abcdefgh\"}\x01\x04\xff\x04\x01\x02\x03",
    );
    check(br#"___eio[0]("0{\"sid\":\"ABC\"}");"#, br#"___eio[0]("0{\"sid\":\"ABC.abcdefgh\"}");"#);
    check(
        br#"___eio[2]("16:0{\"sid\":\"A\\\"BC\"}2:40");"#,
        br#"___eio[2]("25:0{\"sid\":\"A\\\"BC.abcdefgh\"}2:40");"#,
    );
}

#[test]
fn what_is_no_open_packet_is_left_alone() {
    let check = |head: &[u8]| {
        assert_eq!(OpenPacket::scan(head), Scan::NotOpen, "{}", String::from_utf8_lossy(head));
    };
    check(b"ok");
    check(b"<html>");
    check(b"{\"code\":1}");
    check(b"0[1]");
    check(b"00{\"sid\":\"ABC\"}");
    check(b"0{}");
    check(b"0{sid:1}");
    check(b"0{\"sid\":1}");
    check(b"0{\"sid\":\"\"}");
    check(b"0{\"sid\":\"a\\u0000\"}");
    check(b"0{\"sid\":\"a\",\"sid\":\"b\"}");
    check(b"0{\"sid\":\"\xff\"}");
    check(format!("0{{\"sid\":\"{}\"}}", "a".repeat(Sid::BYTES_MAX + 1)).as_bytes());
    check(b"13:0{\"sid\":\"ABC\"}");
    check(b"15:0{\"sid\":\"ABC\"}2:40");
    check(b"14;0{\"sid\":\"ABC\"}");
    check(b"12345:0{\"sid\":\"ABC\"}");
    check(b"2:40");
    check(b"\x01\x01\x04\xff0{\"sid\":\"ABC\"}");
    check(b"\x00\x01\x05\xff0{\"sid\":\"ABC\"}");
    check(b"\x00\x01\x0a\xff0{\"sid\":\"ABC\"}");
    check(b"___eio[0](\"0{\\\"sid\\\":\\\"AB\");");
    check(b"___eio[0](\"\");");
    check(b"___eio[0](\"1\");");
    check(b"\x1f\x8b\x08\x00");
}

#[test]
fn no_more_than_the_head_is_waited_for() {
    for start in ["0{\"x\":\"", "4000:0{\"x\":\"", "___eio[0](\"0{\\\"x\\\":\\\"", "___eio["] {
        let fill = if start.ends_with('[') { "1" } else { "a" };
        let body = format!("{start}{}", fill.repeat(2 * OpenPacket::HEAD_BYTES_MAX)).into_bytes();
        assert_eq!(OpenPacket::scan(&body[..OpenPacket::HEAD_BYTES_MAX - 1]), Scan::NeedMore);
        assert_eq!(OpenPacket::scan(&body[..OpenPacket::HEAD_BYTES_MAX]), Scan::NotOpen);
        assert_eq!(OpenPacket::scan(&body), Scan::NotOpen);
    }
}

#[test]
fn the_longest_sid_fits_the_head_in_every_form() {
    let sid = "\"".repeat(Sid::BYTES_MAX);
    let object = OBJECT.replace("lv_VI97HAXpY6yYWAAAC", &sid.replace('"', "\\\""));
    for writing in WRITINGS {
        assert_eq!(open(&writing.write(&object, "")).sid.as_str(), sid);
    }
}

#[test]
fn the_first_frame_of_a_websocket_is_the_bare_packet() {
    let found = OpenPacket::parse(format!("0{OBJECT}").as_bytes()).expect("an open packet");
    assert_eq!(found, open(format!("0{OBJECT}").as_bytes()));
    for other in ["", "0", "40", "2probe", OBJECT, "0{}", "0{\"sid\":\"a\"", "0{\"sid\":\"a\"}x"] {
        assert_eq!(OpenPacket::parse(other.as_bytes()), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_tagged_head_scans_to_the_tagged_sid(
        sid in "\\PC{1,60}",
        tag in "\\.[A-Za-z0-9_-]{0,8}",
        extra in "\\PC{0,30}",
        behind in "\u{1e}4\\PC{0,20}",
        sid_is_last in any::<bool>(),
        index in 0..WRITINGS.len(),
    ) {
        let quoted = |text: &str| serde_json::to_string(text).expect("JSON");
        let (sid_key, extra_key) = (format!(r#""sid":{}"#, quoted(&sid)), quoted(&extra));
        let object = if sid_is_last {
            format!(r#"{{"x":{extra_key},"pingTimeout":1,{sid_key}}}"#)
        } else {
            format!(r#"{{{sid_key},"pingTimeout":1,"x":{{"sid":{extra_key}}}}}"#)
        };
        let head = WRITINGS[index].write(&object, &behind);
        let before = open(&head);
        prop_assert_eq!(before.sid.as_str(), &sid);

        let tagged = before.with_tag(&head, &tag);
        let after = open(&tagged);
        prop_assert_eq!(after.sid.as_str(), format!("{sid}{tag}"));
        prop_assert_eq!(after.timings, before.timings);
        prop_assert_eq!(after.form, before.form);
        let untagged = object.replace(&sid_key, &format!(r#""sid":{}"#, quoted(&format!("{sid}{tag}"))));
        prop_assert_eq!(tagged, WRITINGS[index].write(&untagged, &behind));
    }

    #[test]
    fn no_bytes_break_it(head in prop::collection::vec(any::<u8>(), 0..64), start in 0..6_usize) {
        let starts: [&[u8]; 6] = [b"", b"0{\"sid\":\"", b"9", b"\x00", b"___eio[1](\"0{", b"___eio[1](\"\\u"];
        let head = [starts[start], &head].concat();
        if let Scan::Open(open) = OpenPacket::scan(&head) {
            open.with_tag(&head, TAG);
        }
        OpenPacket::parse(&head);
    }
}
