"""Creates a key and deletes it, each on a kept connection and with an Idempotency-Key, and prints both statuses.

repeating_client.py urllib3|aiohttp URL CREATE_KEY DELETE_KEY
"""

import asyncio
import sys

library, url, create_key, delete_key = sys.argv[1:]
CREATE = {"Idempotency-Key": create_key, "If-None-Match": "*"}
DELETE = {"Idempotency-Key": delete_key}


def with_urllib3():
    import urllib3

    client = urllib3.PoolManager()
    statuses = []
    for method, body, headers in [("PUT", b"holder", CREATE), ("DELETE", None, DELETE)]:
        client.request("GET", url)
        statuses.append(client.request(method, url, body=body, headers=headers).status)
    return statuses


async def with_aiohttp():
    import aiohttp

    statuses = []
    async with aiohttp.ClientSession() as client:
        for method, body, headers in [("PUT", b"holder", CREATE), ("DELETE", None, DELETE)]:
            async with client.get(url) as answer:
                await answer.read()
            async with client.request(method, url, data=body, headers=headers) as answer:
                statuses.append(answer.status)
    return statuses


print(*(with_urllib3() if library == "urllib3" else asyncio.run(with_aiohttp())))
