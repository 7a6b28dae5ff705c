class AWSServiceEndpoint:
    host: str
    port: int | None
    scheme: str
    path: str
    def __init__(
        self,
        uri: str = ...,
        method: str = ...,
        ssl_hostname_verification: bool = ...,
    ) -> None: ...
