"""The board's settings with a channel layer, which only the peer of `bench.live` uses."""

from chaosboard.settings import *  # noqa: F403 - settings are a module of names
from chaosboard.settings import REDIS_URL

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py's own time-out of 5 s would close an idle connection
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]},
    }
}
