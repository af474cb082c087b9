"""The client with the real worker, which `RUNABOUT` names, and the model `RUNABOUT_TEST_MODEL`; for tools, the model
`RUNABOUT_TOOL_MODEL`, whose chat template must have them."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
import warnings
from pathlib import Path

from runabout import (
    AsyncClient,
    Client,
    ClientClosed,
    IncompleteAnswer,
    RequestCancelled,
    RequestFailed,
    RequestTimedOut,
    WorkerEnded,
)

# A program that was started in the background ignores Ctrl-C, and so do those that it starts; the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

MODEL = os.environ.get("RUNABOUT_TEST_MODEL", "smollm2-135m")
SCHEMA = {
    "type": "object",
    "required": ["severity", "fixed"],
    "additionalProperties": False,
    "properties": {"severity": {"enum": ["low", "high"]}, "fixed": {"type": "boolean"}},
}
TOOL_MODEL = os.environ.get("RUNABOUT_TOOL_MODEL", "qwen2.5-coder-0.5b")
FORECAST = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "The weather of the next days",
        "parameters": {
            "type": "object",
            "required": ["city", "days"],
            "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "maximum": 99}},
        },
    },
}
# Runs until it is stopped: the tokens that end a text are never chosen.
ENDLESS = {"mode": "raw", "max_tokens": 4000, "temperature": 0, "logit_bias": {"0": -100.0, "2": -100.0}}


def client(**settings):
    return Client(MODEL, options={"offline": True}, **settings)


def has_ended(pid, n_looks=1000):
    """Waits for the end of a process that is perhaps not a child of this one."""
    for _ in range(n_looks):
        try:
            os.kill(pid, 0)
            # Perhaps it only waits for its parent to look at its exit code.
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except ProcessLookupError:
            return True
        except FileNotFoundError:
            pass  # Not every system has /proc.
        time.sleep(0.02)
    return False


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = client()
        cls.progress = []
        cls.model = cls.client.wait_until_ready(on_progress=cls.progress.append)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def test_the_start_tells_the_limits_and_the_load_its_progress(self):
        self.assertEqual(self.client.start()["protocol_version"], 1)
        self.assertTrue(self.model["chat"])
        self.assertTrue(all(it["stage"] in ("load", "download") for it in self.progress))

    def test_a_completion_is_the_same_streamed_told_and_whole(self):
        options = {"suffix": "\n", "max_tokens": 8, "temperature": 0}
        whole = self.client.complete("def mean(values):\n    return ", **options)
        told = []
        self.assertEqual(
            self.client.complete("def mean(values):\n    return ", on_delta=told.append, **options)["text"],
            whole["text"],
        )
        self.assertEqual("".join(delta["text"] for delta in told), whole["text"])
        stream = self.client.complete_stream("def mean(values):\n    return ", **options)
        self.assertEqual("".join(delta["text"] for delta in stream), whole["text"])
        self.assertEqual(stream.result()["text"], whole["text"])
        self.assertEqual(list(stream), [])

    def test_several_choices_are_told_apart(self):
        texts = {0: "", 1: ""}
        with self.client.complete_stream("x = ", n=2, temperature=1, seed=1, max_tokens=6) as stream:
            for delta in stream:
                texts[delta["choice"]] += delta["text"]
            choices = stream.result()["choices"]
        self.assertEqual(texts, {choice["index"]: choice["text"] for choice in choices})

    def test_a_conversation_goes_on_with_the_message_of_the_result(self):
        first = self.client.chat("Say hello.", max_tokens=8, temperature=0)
        messages = [{"role": "user", "content": "Say hello."}, first["message"], {"role": "user", "content": "Again."}]
        stream = self.client.chat_stream(messages, max_tokens=8, temperature=0)
        text = "".join(delta["text"] for delta in stream)
        self.assertEqual(stream.result()["message"]["content"], text)

    def test_an_answer_with_a_schema_is_a_value_or_incomplete(self):
        value = self.client.chat_json("Severity of this, as JSON: it crashes.", SCHEMA, max_tokens=200, temperature=0)
        self.assertIn(value["severity"], ("low", "high"))
        self.assertIsInstance(value["fixed"], bool)
        with self.assertRaises(IncompleteAnswer) as caught:
            self.client.chat_json("Severity of this, as JSON: it crashes.", SCHEMA, max_tokens=2)
        self.assertEqual(caught.exception.result["finish_reason"], "length")
        self.assertIn("with `{", str(caught.exception))

    def test_a_call_that_is_required_fits_its_schema_and_goes_on_with_its_result(self):
        with Client(TOOL_MODEL, options={"offline": True}) as tooled:
            asked = [{"role": "user", "content": "How warm will Rome be in the next 3 days?"}]
            options = {"tools": [FORECAST], "max_tokens": 300, "temperature": 0}
            choice = {"type": "function", "function": {"name": "forecast"}}
            stream = tooled.chat_stream(asked, tool_choice=choice, **options)
            told = "".join(delta["text"] for delta in stream)
            result = stream.result()
            calls = result["message"]["tool_calls"]
            self.assertEqual((told, result["message"]["content"], result["finish_reason"]), ("", None, "tool_calls"))
            self.assertEqual(calls[0]["function"]["name"], "forecast")
            arguments = calls[0]["function"]["arguments"]
            self.assertIsInstance(arguments["city"], str)
            self.assertIsInstance(arguments["days"], int)
            answers = [{"role": "tool", "tool_call_id": call["id"], "content": '{"celsius": [20, 21, 19]}'} for call in calls]
            final = tooled.chat([*asked, result["message"], *answers], tool_choice="none", **options)
            self.assertNotIn("tool_calls", final["message"])
            self.assertGreater(final["usage"]["prompt_tokens"], result["usage"]["prompt_tokens"] // 2)

    def test_next_edits_are_predicted_or_the_error_says_that_the_model_cannot(self):
        edits = [{"original": "    c\n", "updated": "    center = \n"}]
        if self.model.get("next_edit_format"):
            result = self.client.next_edit("def f():\n    center = ", suffix="\n", edits=edits, max_tokens=8)
            self.assertIsInstance(result["edits"], list)
        else:
            with self.assertRaises(RequestFailed) as caught:
                self.client.next_edit("def f():\n    center = ", suffix="\n", edits=edits)
            self.assertEqual((caught.exception.code, caught.exception.kind), (1005, "unsupported"))

    def test_what_was_warmed_is_in_the_cache(self):
        prefix = "# A file that is opened.\nimport math\nradius = "
        warmed = self.client.warm(prefix)
        self.assertGreater(self.client.complete(prefix, max_tokens=1)["usage"]["cached_tokens"], 0)
        self.assertGreater(warmed["prompt_tokens"], 5)
        self.assertGreater(self.client.warm_chat("Hello.")["prompt_tokens"], 1)

    def test_tokens_are_counted(self):
        counted = self.client.tokenize("naïve 🍕\u2028", return_tokens=True)
        self.assertEqual(counted["count"], len(counted["tokens"]))
        self.assertGreater(self.client.tokenize(messages="hello")["count"], 1)

    def test_an_error_has_code_hint_and_data(self):
        with self.assertRaises(RequestFailed) as caught:
            self.client.complete("x", extra={"max_token": 5})
        error = caught.exception
        self.assertEqual((error.code, error.kind, error.data["nearest"]), (-32602, None, "max_tokens"))
        self.assertIn("max_tokens", error.hint)

    def test_a_stream_is_cancelled_with_its_text_so_far(self):
        stream = self.client.complete_stream("a", **ENDLESS)
        first = next(stream)
        self.assertEqual(stream.cancel()["outcome"], "cancelled")
        result = stream.result()
        self.assertEqual(result["finish_reason"], "cancelled")
        self.assertEqual(result["text"], first["text"] + "".join(delta["text"] for delta in stream))
        self.assertEqual(stream.cancel()["outcome"], "finished")

    def wait_until_idle(self):
        while self.client.status()["queue"] != {"running": 0, "waiting": 0}:
            time.sleep(0.01)

    def test_a_stream_that_is_left_or_dropped_stops_at_the_worker(self):
        with self.client.complete_stream("b", **ENDLESS) as stream:
            next(stream)
        self.wait_until_idle()
        stream = self.client.complete_stream("c", **ENDLESS)
        next(stream)
        del stream
        gc.collect()
        self.wait_until_idle()

    def test_ctrl_c_while_waiting_for_a_stream_cancels_it(self):
        stream = self.client.complete_stream("g", **ENDLESS)
        next(stream)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        with self.assertRaises(KeyboardInterrupt):
            timer.start()
            stream.result()
        self.assertRaises(RequestCancelled, stream.result)

    def test_a_time_limit_stops_the_request_at_the_worker(self):
        with self.assertRaises(RequestTimedOut) as caught:
            self.client.complete("d", timeout=0.2, **ENDLESS)
        self.assertIsInstance(caught.exception, TimeoutError)
        self.wait_until_idle()

    def test_a_hundred_requests_of_ten_threads_are_all_answered(self):
        texts = {}

        def ask(thread):
            for i in range(10):
                texts[thread, i] = self.client.complete(f"x{i} = ", max_tokens=2, temperature=0)["text"]

        threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(texts), 100)

    def test_a_hundred_requests_at_once_are_all_answered_and_a_cancelled_task_stops(self):
        async def ask():
            async with AsyncClient(MODEL, options={"offline": True}) as one:
                endless = asyncio.ensure_future(one.complete("e", priority="background", **ENDLESS))
                results = await asyncio.gather(*(one.complete(f"x{i} = ", max_tokens=2) for i in range(100)))
                endless.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await endless
                while (await one.status())["queue"]["running"]:
                    await asyncio.sleep(0.01)
                return results

        self.assertEqual(len(asyncio.run(ask())), 100)


class Ends(unittest.TestCase):
    def test_a_killed_worker_fails_what_is_running_and_the_next_request_starts_another(self):
        with client() as one:
            stream = one.complete_stream("a", **ENDLESS)
            next(stream)
            pid = one.pid
            os.kill(pid, signal.SIGKILL)
            with self.assertRaises(WorkerEnded) as caught:
                stream.result()
            self.assertEqual(caught.exception.exit_code, -signal.SIGKILL)
            self.assertTrue(one.complete("x = ", max_tokens=2)["usage"]["prompt_tokens"])
            self.assertNotEqual(one.pid, pid)

    def test_a_worker_that_cannot_start_tells_why(self):
        with self.assertRaises(WorkerEnded) as caught:
            Client(MODEL, options={"ofline": True}).start()
        self.assertEqual(caught.exception.exit_code, 2)
        self.assertIn("--ofline", str(caught.exception))

    def test_a_model_that_cannot_be_loaded_is_an_error_of_that_kind(self):
        with Client(os.path.dirname(os.path.abspath(__file__))) as one:
            for ask in (one.wait_until_ready, lambda: one.complete("a")):
                with self.assertRaises(RequestFailed) as caught:
                    ask()
                self.assertEqual((caught.exception.code, caught.exception.kind), (1001, "model_load_failed"))

    def test_closing_ends_the_worker_and_what_is_running(self):
        one = client()
        stream = one.complete_stream("a", **ENDLESS)
        next(stream)
        waiting = []

        def wait():
            try:
                waiting.append(stream.result()["finish_reason"])
            except ClientClosed:
                waiting.append("closed")

        thread = threading.Thread(target=wait)
        thread.start()
        one.close()
        thread.join()
        self.assertIn(waiting[0], ("cancelled", "closed"))
        self.assertTrue(has_ended(one.pid))
        self.assertRaises(ClientClosed, one.complete, "a")
        one.close()

    def test_a_client_that_is_dropped_ends_its_worker(self):
        one = client()
        one.start()
        pid = one.pid
        del one
        gc.collect()
        self.assertTrue(has_ended(pid))

        async def drop_in_a_loop():
            one = AsyncClient(MODEL, options={"offline": True})
            await one.start()
            pid = one.pid
            del one
            gc.collect()
            while not has_ended(pid, 1):
                await asyncio.sleep(0)

        asyncio.run(drop_in_a_loop())

        async def drop():
            two = AsyncClient(MODEL, options={"offline": True})
            await two.start()
            return two.pid

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # Rightly: it should have been closed.
            self.assertTrue(has_ended(asyncio.run(drop())))
            gc.collect()

    def run_script(self, script, act):
        """Runs a script that prints the pid of its worker, and does something to it."""
        command = [sys.executable, "-c", script, MODEL]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # As a terminal runs it: Ctrl-C goes to all processes of its group.
        with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
            pid = int(process.stdout.readline())
            act(process)
            output, log = process.communicate()
        self.assertTrue(has_ended(pid))
        return process.returncode, output, log

    SCRIPT = """
import sys, time
from runabout import Client
client = Client(sys.argv[1], options={"offline": True})
client.start()
def ask():
    with client.complete_stream("a", mode="raw", max_tokens=4000, logit_bias={"0": -100, "2": -100}) as stream:
        next(stream)
        print(client.pid, flush=True)
        stream.result()
"""

    def test_a_script_that_is_killed_or_ends_leaves_no_worker(self):
        self.run_script(self.SCRIPT + "ask()", lambda process: process.kill())
        code, _, log = self.run_script(self.SCRIPT + "print(client.pid, flush=True)", lambda process: None)
        self.assertEqual((code, log), (0, ""))

    def test_ctrl_c_ends_a_request_and_not_the_worker(self):
        script = self.SCRIPT + """
try:
    ask()
except KeyboardInterrupt:
    pid = client.pid
    while client.status()["queue"]["running"]:
        time.sleep(0.01)
    print(client.complete("x = ", max_tokens=2)["finish_reason"] and client.pid == pid)
"""
        code, output, log = self.run_script(script, lambda process: os.killpg(process.pid, signal.SIGINT))
        self.assertEqual((code, output.split()[-1:], log), (0, ["True"], ""))


if __name__ == "__main__":
    unittest.main()
