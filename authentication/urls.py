from django.urls import path

from authentication.views import DeleteAccountView, LoginView, LogoutView, MeView, PasswordView, SignupView

urlpatterns = [
    path("signup/", SignupView.as_view(), name="signup"),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("me/", MeView.as_view(), name="me"),
    path("password/", PasswordView.as_view(), name="password"),
    path("delete-account/", DeleteAccountView.as_view(), name="delete-account"),
]
