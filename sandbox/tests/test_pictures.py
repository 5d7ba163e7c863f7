import asyncio
import io
import unittest

from PIL import Image

from kernelbox import frames, limits
from kernelbox.errors import RequestError
from kernelbox.picture_worker import fit
from kernelbox.pictures import Pictures
from kernelbox.reaper import Reaper
from kernelbox.transfer import Transfer


def encoded(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def noise(width, height):
    return Image.effect_noise((width, height), 80).convert("RGB")


class Fit(unittest.TestCase):
    def test_a_large_plot_stays_a_png_in_its_proportions(self):
        plot = Image.new("RGBA", (3600, 2400), (10, 20, 30, 255))
        fitted = Image.open(io.BytesIO(fit(encoded(plot), 2000, 600_000)))
        self.assertEqual((fitted.format, fitted.size, fitted.convert("RGBA").getpixel((5, 5))), ("PNG", (2000, 1333), (10, 20, 30, 255)))

    def test_what_is_no_plot_becomes_a_jpeg_and_then_smaller(self):
        fitted = Image.open(io.BytesIO(fit(encoded(noise(1000, 800)), 2000, 450_000)))
        self.assertEqual((fitted.format, fitted.size), ("JPEG", (1000, 800)))
        picture = fit(encoded(noise(1000, 800)), 2000, 50_000)
        self.assertLessEqual(len(picture), 50_000)
        self.assertLess(Image.open(io.BytesIO(picture)).width, 1000)

    def test_takes_every_form_that_is_shown_and_no_other(self):
        small = Image.new("P", (300, 10))
        for form in ("PNG", "GIF", "WEBP"):
            self.assertTrue(fit(encoded(small, form), 100, 10_000))
        self.assertTrue(fit(encoded(small.convert("CMYK"), "JPEG"), 100, 10_000))
        for hostile in (b"", b"hello", encoded(small)[:60], encoded(small.convert("RGB"), "TIFF"), encoded(small.convert("RGB"), "EPS")):
            with self.assertRaises(Exception):
                fit(hostile, 100, 10_000)

    def test_refuses_a_bomb_before_it_is_decoded(self):
        with self.assertRaises(ValueError):
            fit(encoded(Image.new("1", (40_000, 3_000))), 2000, 600_000)


class Worker(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.sent = []

    def control(self, frame):
        self.sent.append(frame)

    def bulk(self, messages, *, hold=False):
        self.sent += messages

    async def run_fit(self, picture, pixels=2000, size=600_000):
        loop = asyncio.get_running_loop()
        reaper = Reaper(loop)
        transfer = Transfer(1, self)
        for at in range(0, len(picture), limits.FRAME_BYTES):
            transfer.data(picture[at : at + limits.FRAME_BYTES])
        transfer.end()
        result = await Pictures(loop, reaper).fit({"pixels": pixels, "bytes": size}, transfer)
        data = [frame for decoded in [frames.Decoder()] for sent in self.sent for frame in decoded.push(bytes(sent))]
        return result, b"".join(frame.payload for frame in data if frame.kind == frames.DATA)

    async def test_gives_back_the_fitted_picture(self):
        result, picture = await self.run_fit(encoded(Image.new("RGB", (3000, 100))))
        self.assertEqual(result["sent_bytes"], len(picture))
        self.assertEqual(Image.open(io.BytesIO(picture)).size, (2000, 67))

    async def test_a_worker_that_fails_costs_the_request_only(self):
        for hostile in (b"hello", encoded(Image.new("1", (40_000, 3_000)))):
            with self.assertRaises(RequestError) as caught:
                await self.run_fit(hostile)
            self.assertEqual(caught.exception.code, "unsupported")
