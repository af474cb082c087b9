"""The client with peers that play a part, see `protocol/clients/peer.py`: what the real worker never does."""

import asyncio
import os
import stat
import sys
import tempfile
import time
import unittest
from pathlib import Path

from runabout import (
    AsyncClient,
    Client,
    ClientClosed,
    IncompleteAnswer,
    ProgramNotFound,
    RequestFailed,
    RequestTimedOut,
    WorkerEnded,
    find_program,
)


class Parts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, part):
        path = self.folder / part
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).parents[2] / "peer.py"}" {part} "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def client(self, part, **settings):
        client = Client(program=self.program(part), **settings)
        self.addCleanup(client.close)
        return client

    def test_what_a_later_protocol_adds_is_kept_and_does_no_harm(self):
        told, deltas = [], []
        client = self.client("future", on_notification=lambda method, params: told.append((method, params)))
        result = client.complete("a", on_delta=deltas.append)
        self.assertEqual((result["text"], result["finish_reason"], result["new"]), ("text", "bored", [1]))
        self.assertEqual([delta["text"] for delta in deltas], ["tex"])
        self.assertIn(("forecast", [1, 2]), told)
        self.assertEqual([params["stage"] for method, params in told if method == "progress"], ["dream"])

    def test_reasoning_is_told_apart_from_the_answer(self):
        told = {True: "", False: ""}
        with self.client("thinker").chat_stream("a") as stream:
            for delta in stream:
                told[delta.get("reasoning", False)] += delta["text"]
            message = stream.result()["message"]
        self.assertEqual((told[True], told[False]), (message["reasoning"], message["content"]))

    def test_an_unknown_kind_of_error_is_an_error_with_its_kind_and_hint(self):
        with self.assertRaises(RequestFailed) as caught:
            self.client("future").warm("a")
        error = caught.exception
        self.assertEqual((error.code, error.kind, error.hint), (1999, "too_tired", "wait"))
        self.assertEqual((error.data["new"], str(error)), (1, "cannot\nhint: wait"))

    def test_stray_output_is_skipped(self):
        with self.assertLogs("runabout", "WARNING") as logs:
            self.assertEqual(self.client("noisy").complete("a")["text"], "text")
        self.assertIn("Loading checkpoint shards", "".join(logs.output))

    def test_extra_parameters_are_passed_on(self):
        result = self.client("future").complete("a", extra={"x_new": [1], "n": 2})
        self.assertEqual(result["params"], {"prefix": "a", "stream": False, "x_new": [1], "n": 2})

    def test_a_message_that_is_too_large_fails_before_it_is_sent(self):
        client = self.client("future")
        with self.assertRaises(RequestFailed) as caught:
            client.complete("a" * 1000)
        self.assertEqual((caught.exception.code, caught.exception.data["max_frame_bytes"]), (-32007, 1000))
        self.assertEqual(client.complete("a")["text"], "text")

    def test_text_that_is_not_unicode_fails_before_it_is_sent(self):
        client = self.client("future")
        with self.assertRaises(UnicodeEncodeError):
            client.complete("\ud800")
        with self.assertRaises(ValueError):
            client.complete("a", temperature=float("nan"))
        self.assertEqual(client.complete("a")["text"], "text")

    def test_an_error_of_a_callback_is_that_of_its_request(self):
        def refuse(delta):
            raise LookupError(delta["text"])

        async def both():
            async with AsyncClient(program=self.program("future")) as client:
                with self.assertRaises(LookupError):
                    await client.complete("a", on_delta=refuse)
                return await client.complete("a")

        with self.assertRaises(LookupError):
            self.client("future").complete("a", on_delta=refuse)
        self.assertEqual(asyncio.run(both())["text"], "text")

    def test_an_answer_that_was_cut_off_is_no_value_although_it_looks_whole(self):
        self.assertRaises(IncompleteAnswer, self.client("future").chat_json, "a", {"type": "integer"})

    def test_closing_fails_what_is_not_answered(self):
        async def close():
            client = AsyncClient(program=self.program("deaf"))
            await client.start()
            stream = client.complete_stream("a")
            with self.assertRaises(RequestTimedOut):
                await client.status(timeout=0.1)
            await client.close()
            with self.assertRaises(ClientClosed):
                await client.status()
            with self.assertRaises(ClientClosed):
                await stream.result()

        asyncio.run(close())

    def test_restarts_wait_longer_and_longer(self):
        client, starts = self.client("crash"), []
        for _ in range(4):
            with self.assertRaises(WorkerEnded) as caught:
                client.complete("a")
            starts.append(time.monotonic())
            self.assertEqual((caught.exception.exit_code, caught.exception.log), (3, ["one line of the log"]))
        # The second start is immediate.
        self.assertGreaterEqual(starts[2] - starts[1], 0.25)
        self.assertGreaterEqual(starts[3] - starts[2], 0.5)

    def test_the_wait_before_a_restart_counts_for_the_time_limit(self):
        client = self.client("crash")
        for _ in range(3):
            self.assertRaises(WorkerEnded, client.complete, "a")
        self.assertRaises(RequestTimedOut, client.complete, "a", timeout=0.01)

    def test_without_restart_the_client_stays_ended(self):
        client = self.client("crash", restart=False)
        self.assertRaises(WorkerEnded, client.complete, "a")
        pid = client.pid
        self.assertRaises(WorkerEnded, client.complete, "a")
        self.assertEqual(client.pid, pid)

    def test_requests_beyond_the_queue_of_the_worker_wait_and_one_that_gives_up_makes_room(self):
        async def crowd():
            async with AsyncClient(program=self.program("deaf")) as client:
                waiting = [asyncio.ensure_future(client.complete("a")) for _ in range(3)]
                waiting.append(asyncio.ensure_future(client.complete("a", n=3)))
                with self.assertRaises(RequestTimedOut):
                    await client.complete("a", timeout=0.1)
                for task in waiting:
                    task.cancel()
                await asyncio.wait(waiting)
                await asyncio.wait_for(client._limit.take(4), 10)

        asyncio.run(crowd())

    def test_the_program_is_the_argument_or_the_variable_or_on_the_path(self):
        on_path, named, given = (self.program(name) for name in ("runabout", "named", "given"))
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        os.environ.update(PATH=str(self.folder), RUNABOUT=str(named))
        self.assertEqual([find_program(given), find_program()], [str(given), str(named)])
        del os.environ["RUNABOUT"]
        self.assertEqual(find_program(), str(on_path))
        os.environ["RUNABOUT"] = "/no/such/program"
        self.assertRaisesRegex(ProgramNotFound, "/no/such/program.*RUNABOUT", find_program)
        os.environ.update(PATH="", RUNABOUT="")
        self.assertRaisesRegex(ProgramNotFound, "hint: put it on the PATH", find_program)


if __name__ == "__main__":
    unittest.main()
