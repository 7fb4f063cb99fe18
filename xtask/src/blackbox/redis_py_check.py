"""Drives a server on 127.0.0.1 with redis-py; exit code 0 if all checks hold."""

import sys
import threading

import redis

port = int(sys.argv[1])
checks = 0


def check(actual, expected):
    global checks
    checks += 1
    if actual != expected:
        sys.exit(f"check {checks}: expected {expected!r}, got {actual!r}")


def basics(protocol):
    client = redis.Redis(port=port, protocol=protocol, client_name="check")
    check(client.ping(), True)
    key = f"py:{protocol}:"
    check(client.set(key + "a", b"\x00\r\n\xff"), True)
    check(client.get(key + "a"), b"\x00\r\n\xff")
    check(client.set(key + "a", "x", nx=True), None)
    check(client.mset({key + "b": 1, key + "c": 2}), True)
    check(client.mget(key + "b", key + "none", key + "c"), [b"1", None, b"2"])
    check(client.expire(key + "b", 100), True)
    check(0 < client.pttl(key + "b") <= 100_000, True)
    check(client.incr(key + "c", 40), 42)
    check(client.getdel(key + "c"), b"42")
    check(sorted(client.scan_iter(match=key + "*", count=3)), sorted([(key + "a").encode(), (key + "b").encode()]))
    check(client.info("server")["redis_version"] != "", True)
    check(client.config_get("maxmemory") is not None, True)
    try:
        client.execute_command("INCR", key + "a")
        check("no error", "an error")
    except redis.ResponseError as error:
        check(str(error), "value is not an integer or out of range")
    client.close()


def pipeline():
    client = redis.Redis(port=port)
    with client.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"py:pipe:{number}", number)
        check(pipe.execute(), [True] * 1000)
    with client.pipeline(transaction=True) as pipe:
        pipe.set("py:tx", 1).incr("py:tx").get("py:tx")
        check(pipe.execute(), [True, 2, b"2"])


def optimistic_increments(threads, rounds):
    """WATCH, GET, MULTI, SET, EXEC by many threads: no increment is lost."""

    def work():
        client = redis.Redis(port=port)
        for _ in range(rounds):
            client.transaction(
                lambda pipe: (lambda old: (pipe.multi(), pipe.set("py:watched", old + 1)))(
                    int(pipe.get("py:watched") or 0)
                ),
                "py:watched",
            )

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(redis.Redis(port=port).get("py:watched"), str(threads * rounds).encode())


basics(2)
basics(3)
pipeline()
optimistic_increments(threads=8, rounds=25)
print(f"{checks} checks, RESP2 and RESP3, pipelines, transactions with WATCH by 8 threads")
