"""HTTP: OpenAI's and IOPaint's interfaces over one queue of work, bounded and fair; and the page.

`create_app(settings)` in `app` puts it together; `run` serves it until it is told to stop. Every limit is a field of
`settings.Limits`; `limits` holds requests to those that count before a body is looked into.
"""
