from django.conf import settings
from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import ValidationError
from rest_framework.generics import CreateAPIView, GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from authentication.models import AttemptWindow
from authentication.serializers import LoginSerializer, SignupSerializer


def address(request: Request) -> str:
    """The client's address, past as many proxies as NUM_PROXIES trusts."""
    return BaseThrottle().get_ident(request)


class SignupView(CreateAPIView):
    serializer_class = SignupSerializer
    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["post"]

    def perform_create(self, serializer: BaseSerializer) -> None:
        AttemptWindow.objects.spend(settings.THROTTLE_SIGNUP, "signup", address(self.request))
        serializer.save()


class LoginView(GenericAPIView):
    serializer_class = LoginSerializer
    authentication_classes = []
    permission_classes = [AllowAny]
    http_method_names = ["post"]

    @extend_schema(responses={status.HTTP_200_OK: LoginSerializer})
    def post(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        credentials = serializer.validated_data
        failures = settings.THROTTLE_LOGIN, "login", address(request), credentials["username"]

        AttemptWindow.objects.refuse_if_spent(*failures)
        user = authenticate(request, **credentials)
        if user is None:
            AttemptWindow.objects.spend(*failures)
            raise ValidationError({"non_field_errors": ["The username or the password is wrong."]})
        # Of many guesses sent at once all pass the first check; the right one must not pass this.
        AttemptWindow.objects.refuse_if_spent(*failures)

        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})


class LogoutView(APIView):
    permission_classes = [IsAuthenticated]
    http_method_names = ["post"]

    @extend_schema(request=None, responses={status.HTTP_204_NO_CONTENT: None})
    def post(self, request: Request) -> Response:
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
