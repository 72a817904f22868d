"""Everything that an address of a list may lead to, and how it must end."""

import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hostile_server import Server, after, head, in_turn, picture, pieces, raw, redirect, whole
from PIL import Image
from test_shrink import png

#: Host names and the addresses that they have.
PHONE_BOOK = {
    "pictures.example": ["127.0.0.1"],
    "other.example": ["127.0.0.1"],
    "private.example": ["10.0.0.1", "192.168.0.1", "fd00::1"],
    "half-private.example": ["127.0.0.2", "127.0.0.1"],
    "0x7f.0.0.2": ["127.0.0.2"],
}


def everything(server: Server) -> dict[str, tuple[str, int]]:
    """Set the server up; return address -> the status with which it must end, and the number of tries."""
    local = server.port
    good = picture()
    zipped, zip_bomb = gzip.compress(good), gzip.compress(bytes(10**8))
    in_a_second = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    long_ago = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    chunk = b"1000\r\n" + bytes(4096) + b"\r\n"
    turned = Image.Exif()
    turned[0x0112] = 6
    exotic = {
        "/good.jpg": whole(good, Content_Type="image/jpeg"),
        "/good.png": whole(picture("PNG")),
        "/good.gif": whole(picture("GIF", "P")),
        "/good.webp": whole(picture("WEBP")),
        "/cmyk.jpg": whole(picture(mode="CMYK")),
        "/alpha.png": whole(picture("PNG", "RGBA")),
        "/turned.jpg": whole(picture(size=(60, 40), exif=turned)),
        "/large.jpg": whole(picture(size=(900, 600))),
        "/called-html.jpg": whole(good, Content_Type="text/html"),
        "/no-length.jpg": raw(head() + good),
        "/chunked.jpg": raw(head(Transfer_Encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(good), good)),
        "/zipped.jpg": whole(zipped, Content_Encoding="gzip"),
        "/ü ö.jpg".replace("ü", "%C3%BC").replace("ö", "%C3%B6").replace(" ", "%20"): whole(good),
        "/etc/passwd": whole(good),
        "/secret.jpg": whole(good),
        "/hop.jpg": redirect("/good.jpg"),
        "/host.jpg": redirect(f"http://other.example:{local}/good.jpg"),
        "/login.jpg": redirect(f"http://me:secret@127.0.0.1:{local}/secret.jpg"),
        **{f"/five{i}": redirect(f"/five{i + 1}") for i in range(5)},
        "/five5": whole(good),
    }
    ok = {
        **{
            server.url(path): ("ok", 1)
            for path in exotic
            if path[:5] != "/five" and path[:4] not in ("/%C3", "/etc")
        },
        server.url("/five0"): ("ok", 1),
        server.url("/ü ö.jpg"): ("ok", 1),
        server.url("/a/../../../etc/passwd"): ("ok", 1),
        f"http://me:secret@127.0.0.1:{local}/secret.jpg#me": ("ok", 1),
        f"http://pictures.example:{local}/good.jpg": ("ok", 1),
        f"http://half-private.example:{local}/good.jpg": ("ok", 1),
    }
    late = {
        "/500-then-good": (in_turn(whole(status="500 Oh"), whole(good)), 2),
        "/wait": (in_turn(whole(status="429 Slowly", Retry_After=1), whole(good)), 2),
        "/wait-until": (in_turn(whole(status="503 Slowly", Retry_After=in_a_second), whole(good)), 2),
        "/wait-no-more": (in_turn(whole(status="503 Slowly", Retry_After=long_ago), whole(good)), 2),
        "/wait-what": (in_turn(whole(status="429 Slowly", Retry_After="soon \xb2"), whole(good)), 2),
        "/closed-then-good": (in_turn(raw(b""), raw(b""), whole(good)), 2),  # aiohttp asks at once a second time
        "/cut-then-good": (in_turn(raw(head(Content_Length=len(good)) + good[:99]), whole(good)), 2),
    }
    bad = {
        "/404": (whole(status="404 No"), "http 404", 1),
        "/403": (whole(good, status="403 No"), "http 403", 1),
        "/410": (whole(b"<html>gone", status="410 Gone"), "http 410", 1),
        "/204": (raw(head("204 Nothing")), "http 204", 1),
        "/304": (raw(head("304 Same")), "http 304", 1),
        "/nowhere": (whole(status="302 Found"), "http 302", 1),
        "/500": (whole(status="500 Oh"), "http 500", 2),
        "/wait-long": (whole(status="429 Slowly", Retry_After=3600), "http 429", 1),
        "/never": (after(60, raw(b"")), "timeout", 2),
        "/head-only": (pieces(head(Content_Length=9999), b"", 60), "timeout", 2),
        "/drops": (pieces(head(Content_Length=99_999), b"x", 0.05), "timeout", 2),
        "/endless": (pieces(head(), bytes(50_000), 0), "too large", 1),
        "/endless-chunks": (pieces(head(Transfer_Encoding="chunked"), chunk, 0), "too large", 1),
        "/endless-head": (pieces(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 999 + b"\r\n", 0), "bad answer", 1),
        "/declared": (raw(head(Content_Length=10**12)), "too large", 1),
        "/zip-bomb": (whole(zip_bomb, Content_Encoding="gzip"), "too large", 1),
        "/zip-in-zip": (whole(gzip.compress(zip_bomb), Content_Encoding="gzip, gzip"), "not an image", 1),
        "/no-zip": (whole(good, Content_Encoding="gzip"), "bad answer", 1),
        "/short": (whole(good[: len(good) // 2]), "not an image", 1),
        "/closed": (raw(b""), "connection", 2),
        "/cut": (raw(head(Content_Length=len(good)) + good[:99]), "connection", 2),
        "/no-http": (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "bad answer", 1),
        "/html": (whole(b"\n<!DOCTYPE html>\n<html>parked</html>", Content_Type="image/jpeg"), "html page", 1),
        "/empty": (whole(b""), "not an image", 1),
        "/svg": (whole(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not an image", 1),
        "/bomb.png": (whole(png(60_000, 60_000)), "too many pixels", 1),
        "/circle": (redirect("/circle"), "too many redirects", 1),
        "/six": (redirect("/five0"), "too many redirects", 1),
        "/to-file": (redirect("file:///etc/passwd"), "bad url", 1),
        "/to-nonsense": (redirect("http://[::1/"), "bad url", 1),
        "/to-private": (redirect(f"http://10.0.0.1:{local}/good.jpg"), "private address", 1),
        "/to-metadata": (redirect("http://169.254.169.254/latest/meta-data/"), "private address", 1),
        "/to-private-name": (redirect(f"http://private.example:{local}/good.jpg"), "private address", 1),
    }  # fmt: skip
    refused = {
        "": ("bad url", 1),
        "nonsense": ("bad url", 1),
        f"ftp://127.0.0.1:{local}/good.jpg": ("bad url", 1),
        "file:///etc/passwd": ("bad url", 1),
        f"http://{'a' * 80}.example/x.jpg": ("bad url", 1),
        "http://a b.example/x.jpg": ("no such host", 1),
        "http://nowhere.example/x.jpg": ("no such host", 1),
        f"http://127.0.0.2:{local}/good.jpg": ("private address", 1),
        f"http://[::1]:{local}/good.jpg": ("private address", 1),
        f"http://[::ffff:10.0.0.1]:{local}/good.jpg": ("private address", 1),
        f"http://private.example:{local}/good.jpg": ("private address", 1),
        f"http://2130706434:{local}/good.jpg": ("bad url", 1),
        f"http://127.2:{local}/good.jpg": ("bad url", 1),
        f"http://0x7f.0.0.2:{local}/good.jpg": ("private address", 1),
        f"https://127.0.0.1:{local}/good.jpg": ("no secure connection", 1),
        "http://127.0.0.1:1/nobody-listens.jpg": ("connection", 2),
    }
    server.answers |= exotic
    server.answers |= {path: answer for path, (answer, *_) in (late | bad).items()}
    return (
        ok
        | {server.url(path): ("ok", tries) for path, (_, tries) in late.items()}
        | {server.url(path): (status, tries) for path, (_, status, tries) in bad.items()}
        | refused
    )
