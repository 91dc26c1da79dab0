"""What holds even when toe itself is compromised? The API server's own policies, generated from toe's words.

May import the words and nothing else of ours. Start reading at :mod:`toe.api.fence.objects`, which lists all of them;
the largest is :mod:`toe.api.fence.catalog`. ``docs/explanation/fence.md`` says what each of them promises.
"""
